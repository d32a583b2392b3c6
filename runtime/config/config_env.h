/* What the environment says about the configuration.
 *
 * Two kinds of variables, two rules. PERILUNE_… variables are ours: PERILUNE_<OPTION> and
 * PERILUNE_<GROUP>_<OPTION> for each single value of the table, and PERILUNE_UPSTREAM; they beat the file. All
 * others belong to other programs as well and only fill what the file leaves open:
 *
 *   OPENAI_API_KEY, OPENAI_BASE_URL      a provider "openai"
 *   PERILUNE_UPSTREAM                    "URL[;key],…": providers "upstream", "upstream-2", …
 *   PROVIDERS, KEYS                      "[id=]URL,…" and the key for each, by position (an item may be empty);
 *                                        "0x…" items are providers of the 0G network
 *   DIRECT_ENDPOINTS                     "[id=]URL,…" without keys
 *   ZG_PRIVATE_KEY, ZG_RPC_ENDPOINT      for providers with network "0g"
 *   GONKA_PRIVATE_KEY, GONKA_WALLETS ("key[:address],…"), GONKA_ADDRESS, GONKA_SOURCE_URL, GONKA_ENDPOINTS
 *   ("url;address,…"), GONKA_ENDPOINT with GONKA_PROVIDER_ADDRESS or GONKA_TRANSFER_ADDRESS, GONKA_VERIFY_PROOF
 *                                        for providers with network "gonka"; one is made when there is none
 *   GONKA_VLLM_BASE_URL, GONKA_VLLM_URL  a provider "vllm"
 *   GONKA_GATEWAY_HOST, GONKA_GATEWAY_PORT   the address to listen on
 *   GONKA_API_KEYS_FILE                  client keys (config/config_keys.h)
 *
 * A URL without a path gets "/v1" here, as these variables are often written without. Providers come from the
 * environment only when neither the file nor a flag names any. Endpoints written in the file beat a source in the
 * environment.
 */
#ifndef PERI_CONFIG_CONFIG_ENV_H
#define PERI_CONFIG_CONFIG_ENV_H

#include "config/config_tree.h"
#include "config/options.h"
#include "config/secret_source.h"

/* Lay the environment over and under what the file said.
 *   gives   PERI_OK · PERI_ENOMEM; what is wrong goes to `faults` */
PERI_MUST_USE enum peri_err peri_config_env_apply(struct peri_node *root, struct peri_arena *a,
                                                  struct peri_secret_box *box,
                                                  struct peri_fault_list *faults);

/* A flag or variable as the value of an option: numbers and yes/no are read as such where the option asks for
 * them, commas separate the items of lists. NULL when memory ran out. */
struct peri_node *peri_config_text_node(struct peri_arena *a, const struct peri_option *o,
                                        struct peri_where where, struct peri_str text);

/* One upstream, "URL" or (with may_have_key, from the variable's list_item-th item) "URL;key", added to a list of
 * providers. gives PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_config_add_upstream(struct peri_arena *a,
                                                     struct peri_node *providers,
                                                     struct peri_where where, struct peri_str text);

#endif
