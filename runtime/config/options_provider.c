/* What holds between the options of one provider, and of the whole configuration. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/name.h"
#include "config/model_pattern.h"
#include "config/options_reader.h"
#include "config/secret_zone.h"
#include "crypto/address.h"
#include "net/url.h"

bool peri_option_is_id(struct peri_str id) {
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == '\0' || strchr("._:/@-", c) == NULL)) return false;
    }
    return id.n > 0 && id.n <= 128;
}

void peri_provider_begin(struct peri_reader *r, void *at) {
    struct peri_read_provider *p = at;
    p->out.timeouts = r->config->timeouts;
    p->out.retry = r->config->retry;
    r->network = (struct peri_str){ "", 0 };
    p->out.network = p->out.broker = p->out.url = p->out.tags = p->out.ca_file =
        p->out.auth_header = r->network;
    p->gonka.address = p->zerog.ledger = p->zerog.inference = r->network;
}

void peri_read_network(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    bool is_known = node->kind == PERI_NODE_STRING && (peri_str_eq(node->text, PERI_STR("gonka")) ||
                                                       peri_str_eq(node->text, PERI_STR("0g")));
    if (!is_known) {
        peri_reader_expected(r, node, "\"gonka\"");
        return;
    }
    r->network = peri_reader_dup(r, node->text); /* its options are looked at in any case */
    if (peri_str_eq(r->network, PERI_STR("0g")))
        peri_reader_fault(r, node,
                          "is \"0g\", which is not supported by this version, expected \"gonka\"");
    *(struct peri_str *)(void *)((char *)at + o->at) = r->network;
    peri_reader_note_str(r, node, r->network);
}

void peri_read_broker(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at) {
    if (node->kind != PERI_NODE_STRING || !peri_str_eq(node->text, PERI_STR("gonka"))) {
        peri_reader_expected(r, node, "\"gonka\"");
        return;
    }
    struct peri_str broker = peri_reader_dup(r, node->text);
    *(struct peri_str *)(void *)((char *)at + o->at) = broker;
    peri_reader_note_str(r, node, broker);
}

void peri_read_tags(struct peri_reader *r, const struct peri_option *o,
                    const struct peri_node *node, void *at) {
    if (node->kind != PERI_NODE_STRING && !peri_node_is_list(node)) {
        peri_reader_expected(r, node, "text or a list of words");
        return;
    }
    size_t total = 1;
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        total += n->text.n + 1;
        if (n == node) break;
    }
    char *text = peri_reader_alloc(r, total);
    if (text == NULL) return;
    struct peri_str joined = { text, 0 };
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        struct peri_str word;
        if (!peri_reader_string(r, n, "text", &word)) return;
        if (joined.n > 0) text[joined.n++] = ',';
        memcpy(text + joined.n, word.p, word.n);
        joined.n += word.n;
        if (n == node) break;
    }
    text[joined.n] = '\0';
    *(struct peri_str *)(void *)((char *)at + o->at) = joined;
    peri_reader_note_str(r, node, joined);
}

void peri_read_statuses(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at) {
    if (!peri_node_is_list(node)) {
        peri_reader_expected(r, node, "a list of statuses from 400 to 599");
        return;
    }
    uint32_t *statuses = peri_reader_alloc(r, (node->item_count + 1) * sizeof *statuses);
    size_t count = 0;
    if (statuses == NULL) return;
    struct peri_buf json;
    peri_buf_init(&json, 4096);
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        if (n->kind != PERI_NODE_INT || n->integer < 400 || n->integer > 599) {
            size_t path = peri_reader_push_index(r, count + 1);
            peri_reader_expected(r, n, "a status from 400 to 599");
            peri_reader_pop(r, path);
            break;
        }
        statuses[count++] = (uint32_t)n->integer;
        peri_buf_addf(&json, "%s%d", count == 1 ? "[" : ",", (int)n->integer);
    }
    peri_buf_add(&json, count == 0 ? PERI_STR("[]") : PERI_STR("]"));
    *(const uint32_t **)(void *)((char *)at + o->at) = statuses;
    *(size_t *)(void *)((char *)at + o->count_at) = count;
    peri_reader_note(r, node, peri_reader_dup(r, peri_buf_str(&json)));
    peri_buf_done(&json);
}

static void read_numbers(struct peri_reader *r, const struct peri_option *o,
                         const struct peri_node *node, void *at, bool has_models) {
    if (!peri_node_is_map(node)) {
        peri_reader_expected(r, node,
                             has_models ? "a table from addresses and names of models to numbers"
                                        : "a table from addresses to numbers");
        return;
    }
    struct peri_config_number *numbers = peri_reader_alloc(r, node->member_count * sizeof *numbers);
    size_t count = 0;
    if (numbers == NULL) return;
    for (const struct peri_node *n = node->first; n != NULL; n = n->next) {
        size_t path = peri_reader_push(r, n->key);
        uint64_t value = 0;
        char text[24];
        bool is_address = !has_models || peri_str_has_prefix(n->key, PERI_STR("gonka1"));
        if (is_address && !peri_address_is_gonka(n->key))
            peri_reader_fault(r, n,
                              "must be named by an address of the network: gonka1…, its checksum "
                              "included");
        else if (peri_reader_number(r, o, n, &value))
            numbers[count++] = (struct peri_config_number){ .name = peri_reader_dup(r, n->key),
                                                            .value = (uint32_t)value,
                                                            .is_address = is_address };
        snprintf(text, sizeof text, "%" PRIu64, value);
        peri_reader_note(r, n, peri_str_of(text));
        peri_reader_pop(r, path);
    }
    *(const void **)(void *)((char *)at + o->at) = numbers;
    *(size_t *)((char *)at + o->count_at) = count;
}

void peri_read_limits(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at) {
    read_numbers(r, o, node, at, true);
}

void peri_read_weights(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    read_numbers(r, o, node, at, false);
}

/* Often the URL alone is what its receiver knows senders by: it is kept as a secret, but may be written out. */
void peri_read_webhook(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at) {
    struct peri_secret *out = (void *)((char *)at + o->at);
    struct peri_url *url = NULL;
    if (node->kind != PERI_NODE_STRING) {
        if (!peri_reader_secret(r, node, out)) return;
    } else if (peri_secret_zone_dup(r->config->secrets, out, node->text) != PERI_OK) {
        r->err = PERI_ENOMEM;
        return;
    }
    if (peri_url_parse(&url, (struct peri_str){ out->p, out->n }, NULL) != PERI_OK)
        peri_reader_fault(r, node,
                          "must be a URL that starts with http:// or https:// (not shown here)");
    peri_url_unref(url);
    peri_reader_note_secret(r, node);
}

/* ---- endpoints ---- */

static bool is_ethereum(struct peri_str s) {
    unsigned char bytes[20];
    return peri_address_eip55_bytes(bytes, s) == PERI_OK;
}

static bool is_gonka_endpoint(struct peri_reader *r, const struct peri_node *n,
                              struct peri_str *text) {
    struct peri_str address = *text, url;
    ptrdiff_t semicolon = peri_str_find_char(*text, ';');
    struct peri_str before =
        peri_str_trim((struct peri_str){ text->p, semicolon < 0 ? 0 : (size_t)semicolon });
    address = peri_str_trim(peri_str_from(*text, (size_t)(semicolon + 1)));
    if (semicolon < 0 || before.n == 0 || address.n == 0) {
        peri_reader_expected(r, n, "\"url;address\"");
        return false;
    }
    const char *expected = peri_option_url(before, &url);
    if (expected != NULL)
        peri_reader_fault(r, n, "must be \"url;address\" with %s", expected);
    else if (!peri_address_is_gonka(address))
        peri_reader_expected(r, n, "\"url;address\" with an address of the network (gonka1…)");
    else
        *text =
            peri_arena_printf(r->arena, "%.*s;%.*s", PERI_STR_ARGS(url), PERI_STR_ARGS(address));
    return expected == NULL && peri_address_is_gonka(address);
}

static bool is_zerog_endpoint(struct peri_reader *r, const struct peri_node *n,
                              struct peri_str *text) {
    struct peri_str address, priority = *text;
    uint64_t number;
    (void)peri_str_cut(&address, &priority, ';');
    if (is_ethereum(peri_str_trim(address)) &&
        (priority.n == 0 || peri_str_to_u64(&number, peri_str_trim(priority)) == PERI_OK))
        return true;
    peri_reader_expected(r, n,
                         "an address (\"0x…\", 40 hexadecimal digits), or \"address;priority\"");
    return false;
}

void peri_read_endpoints(struct peri_reader *r, const struct peri_option *o,
                         const struct peri_node *node, void *at) {
    bool is_gonka = peri_str_eq(r->network, PERI_STR("gonka"));
    if (node->kind == PERI_NODE_TABLE && (!peri_node_is_list(node) || node->item_count == 0)) {
        peri_reader_expected(r, node,
                             is_gonka ? "a list of \"url;address\"" : "a list of addresses");
        return;
    }
    struct peri_str *items = peri_reader_alloc(r, peri_node_item_count(node) * sizeof *items);
    size_t count = 0, index = 0;
    if (items == NULL) return;
    for (const struct peri_node *n = peri_node_first_item(node); n != NULL; n = n->next) {
        size_t path = peri_reader_push_index(r, ++index);
        struct peri_str text;
        if (peri_reader_string(r, n, "a string", &text) &&
            (is_gonka ? is_gonka_endpoint(r, n, &text) : is_zerog_endpoint(r, n, &text))) {
            items[count++] = text;
            peri_reader_note_str(r, n, text);
        }
        peri_reader_pop(r, path);
        if (n == node) break;
    }
    *(const void **)(void *)((char *)at + o->at) = items;
    *(size_t *)((char *)at + o->count_at) = count;
}

/* ---- one provider as a whole ---- */

/* The order of secp256k1 (SEC 2, 2.4.1): a private key is below it and not zero. */
static const char curve_order[] =
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The prefix goes. Nothing about the key is said but what one looks like. */
static bool is_private_key(struct peri_secret *key) {
    if (key->n >= 2 && key->p[0] == '0' && (key->p[1] == 'x' || key->p[1] == 'X')) {
        key->p += 2;
        key->n -= 2;
    }
    int order = 0;
    bool is_zero = true, is_hex = true;
    for (size_t i = 0; i < key->n && i < 64; i++) {
        int v = hex_value(key->p[i]);
        if (v < 0) is_hex = false;
        if (v != 0) is_zero = false;
        if (order == 0) order = v - hex_value(curve_order[i]);
    }
    return key->n == 64 && is_hex && !is_zero && order < 0;
}

static void check_wallets(struct peri_reader *r, const struct peri_node *node,
                          struct peri_read_provider *p) {
    const struct peri_node *key = peri_node_get(node, PERI_STR("key"));
    const struct peri_node *private = peri_node_get(node, PERI_STR("private_key"));
    const struct peri_node *several = peri_node_get(node, PERI_STR("keys"));
    if (private != NULL && several != NULL) {
        peri_reader_fault(r, several, "has both 'private_key' and 'keys', expected one of them");
        return;
    }
    if (private == NULL) private = several;
    if (key != NULL && private != NULL) {
        peri_reader_fault(r, key, "has both 'key' and '%.*s', expected one of them",
                          PERI_STR_ARGS(private->key));
        return;
    }
    if (key == NULL && private == NULL) {
        peri_reader_fault(r, node,
                          "lacks 'private_key': the key of the wallet that pays, a secret of 64 "
                          "hexadecimal digits");
        return;
    }
    if (p->private_key_count > 0) {
        p->keys = p->private_keys;
        p->key_count = p->private_key_count;
    }
    struct peri_secret *keys = peri_reader_alloc(r, (p->key_count + 1) * sizeof *keys);
    if (keys == NULL) return;
    if (p->key_count > 0) memcpy(keys, p->keys, p->key_count * sizeof *keys);
    if (key != NULL && p->out.key.n > 0) keys[p->key_count++] = p->out.key;
    const struct peri_node *n = key != NULL ? key : private;
    for (size_t i = 0; i < p->key_count; i++) {
        if (is_private_key(&keys[i])) continue;
        size_t path = peri_reader_push(r, n->key);
        peri_reader_fault(
            r, n,
            "must be a private key: 64 hexadecimal digits (32 bytes), with or without "
            "0x, from 1 to the order of secp256k1 less 1");
        peri_reader_pop(r, path);
        break;
    }
    p->keys = keys;
    p->out.key = (struct peri_secret){ 0 };
}

/* Texts that must be addresses, once they are read; the faults stand at the option. */
static void check_addresses(struct peri_reader *r, const struct peri_node *node, const char *name,
                            const struct peri_str *texts, size_t count) {
    bool is_gonka = peri_str_eq(r->network, PERI_STR("gonka"));
    const struct peri_node *n = peri_node_get(node, peri_str_of(name));
    for (size_t i = 0; n != NULL && i < count; i++) {
        if (texts[i].n == 0 || (is_gonka ? peri_address_is_gonka(texts[i]) : is_ethereum(texts[i])))
            continue;
        size_t path = peri_reader_push(r, peri_str_of(name));
        peri_reader_fault(r, n, "must be an address of the network: %s",
                          is_gonka ? "gonka1…, its checksum included"
                                   : "0x and 40 hexadecimal digits");
        peri_reader_pop(r, path);
    }
}

/* A host that is called because a file says so is nobody's word but the file's: somebody must have meant it. */
static void check_files(struct peri_reader *r, const struct peri_node *sources,
                        const struct peri_read_provider *p) {
    for (size_t i = 0; sources != NULL && i < p->out.source_count; i++) {
        struct peri_str source = p->out.sources[i];
        if (!peri_str_has_prefix(source, PERI_STR("file://"))) continue;
        if (!p->gonka.may_read_files)
            peri_reader_fault(r, sources,
                              "has a file as source: expected http:// or https://, or "
                              "'file_sources' = true");
        else if (source.n < 9 || source.p[7] != '/')
            peri_reader_fault(r, sources,
                              "has a file as source that is no whole path: expected "
                              "\"file:///path\"");
    }
}

static void check_network(struct peri_reader *r, const struct peri_node *node,
                          struct peri_read_provider *p) {
    bool is_gonka = peri_str_eq(r->network, PERI_STR("gonka"));
    const struct peri_node *url = peri_node_get(node, PERI_STR("url"));
    if (url != NULL)
        peri_reader_fault(
            r, url,
            "has a 'url', but the hosts of a network are discovered: expected 'sources' or "
            "'endpoints'");
    const struct peri_node *broker = peri_node_get(node, PERI_STR("broker"));
    if (broker != NULL)
        peri_reader_fault(r, broker,
                          "has a 'broker', but the hosts of a network are called themselves: "
                          "expected it only with a 'url'");
    const struct peri_node *models = peri_node_get(node, PERI_STR("models"));
    for (size_t i = 0; models != NULL && i < p->out.model_count; i++)
        if (peri_is_pattern(p->out.models[i].name))
            peri_reader_fault(r, models,
                              "has a name with a '*', but a network says itself what its hosts "
                              "serve: expected it only with a 'url'");
    const struct peri_node *discover = peri_node_get(node, PERI_STR("discover_models"));
    if (discover != NULL && p->out.discovers_models)
        peri_reader_fault(r, discover,
                          "has 'discover_models', but a network says itself what its hosts serve: "
                          "expected it only with a 'url'");
    const struct peri_node *sources = peri_node_get(node, PERI_STR("sources"));
    if (sources == NULL) sources = peri_node_get(node, PERI_STR("source"));
    check_files(r, sources, p);
    const struct peri_node *endpoints = peri_node_get(node, PERI_STR("endpoints"));
    if (is_gonka && sources == NULL && endpoints == NULL)
        peri_reader_fault(r, node,
                          "lacks an endpoint source: 'sources' (URLs of nodes) or 'endpoints' "
                          "(\"url;address\")");
    const struct peri_node *verify = peri_node_get(node, PERI_STR("verify_proofs"));
    if (is_gonka && sources != NULL && p->gonka.verify_proofs && p->gonka.trust_block.n == 0 &&
        p->gonka.trust_validators.n == 0)
        peri_reader_fault(r, verify,
                          "has 'verify_proofs' and nothing that proofs could lead to: expected "
                          "'trust_validators' or 'trust_block' beside it");
    if (!is_gonka && sources == NULL)
        peri_reader_fault(r, node, "lacks 'sources': URLs of the chain's RPC");
    if (p->prefix.p != NULL && !peri_option_is_id(p->prefix))
        peri_reader_fault(r, peri_node_get(node, PERI_STR("prefix")),
                          "has a bad 'prefix': must be %s", PERI_OPTION_ID_EXPECTED);
    const struct peri_node *webhook_key = peri_node_get(node, PERI_STR("epoch_webhook_key"));
    if (webhook_key != NULL && peri_node_get(node, PERI_STR("epoch_webhook")) == NULL)
        peri_reader_fault(
            r, webhook_key,
            "has an 'epoch_webhook_key' without 'epoch_webhook': expected the URL that it "
            "is sent to");
    check_addresses(r, node, "address", &p->gonka.address, 1);
    check_addresses(r, node, "allow", p->gonka.allow, p->gonka.allow_count);
    check_addresses(r, node, "deny", p->gonka.deny, p->gonka.deny_count);
    check_addresses(r, node, "ledger", &p->zerog.ledger, 1);
    check_addresses(r, node, "inference", &p->zerog.inference, 1);
    check_wallets(r, node, p);
    p->gonka.keys = p->zerog.keys = p->keys;
    p->gonka.key_count = p->zerog.key_count = p->key_count;
    p->gonka.refresh_ms = p->zerog.refresh_ms = p->refresh_ms;
    p->gonka.prefix = p->prefix.p != NULL ? p->prefix : PERI_STR("gonka:");
    p->zerog.prefix = p->prefix.p != NULL ? p->prefix : PERI_STR("0g:");
    size_t size = is_gonka ? sizeof p->gonka : sizeof p->zerog;
    void *options = peri_reader_alloc(r, size);
    if (options == NULL) return;
    memcpy(options, is_gonka ? (const void *)&p->gonka : (const void *)&p->zerog, size);
    p->out.network_options = options;
}

/* Of a plain provider. */
static void check_keys(struct peri_reader *r, const struct peri_node *node,
                       struct peri_read_provider *p) {
    const struct peri_node *keys = peri_node_get(node, PERI_STR("keys"));
    if (keys == NULL) return;
    if (peri_node_get(node, PERI_STR("key")) != NULL)
        peri_reader_fault(r, keys, "has both 'key' and 'keys', expected one of them");
    if (p->key_count > PERI_PROVIDER_KEYS_MAX)
        peri_reader_fault(r, keys, "has %zu 'keys', expected at most %d", p->key_count,
                          PERI_PROVIDER_KEYS_MAX);
    if (p->key_count == 0 || p->key_count > PERI_PROVIDER_KEYS_MAX) return;
    p->out.key = p->keys[0];
    p->out.keys = p->keys;
    p->out.key_count = p->key_count;
}

/* An operator who writes neither `models` nor `discover_models` is shown what the provider lists. */
static void complete_discovery(const struct peri_node *node, struct peri_config_provider *p) {
    if (peri_node_get(node, PERI_STR("discover_models")) != NULL) return;
    p->discovers_models = p->is_list_open = p->model_count == 0;
    for (size_t i = 0; i < p->model_count; i++)
        if (peri_is_pattern(p->models[i].name)) p->discovers_models = p->is_list_open = true;
}

static void check_auth(struct peri_reader *r, const struct peri_node *node,
                       struct peri_config_provider *p) {
    const struct peri_node *auth = peri_node_get(node, PERI_STR("auth"));
    const struct peri_node *header = peri_node_get(node, PERI_STR("auth_header"));
    const struct peri_node *key = peri_node_get(node, PERI_STR("key"));
    if (key == NULL) key = peri_node_get(node, PERI_STR("keys"));
    if (auth == NULL)
        p->auth = header != NULL ? PERI_AUTH_HEADER
                  : key != NULL  ? PERI_AUTH_BEARER
                                 : PERI_AUTH_NONE;
    if (p->auth != PERI_AUTH_NONE && key == NULL)
        peri_reader_fault(r, auth != NULL ? auth : header,
                          "lacks 'key': the secret that is to be sent");
    if (p->auth == PERI_AUTH_HEADER && header == NULL)
        peri_reader_fault(r, auth, "lacks 'auth_header': the header that carries the key");
    if (p->auth != PERI_AUTH_HEADER && header != NULL)
        peri_reader_fault(r, header, "has an 'auth_header', expected 'auth' to be \"header\" then");
    if (auth != NULL && p->auth == PERI_AUTH_NONE && key != NULL)
        peri_reader_fault(r, auth,
                          "has a 'key' that 'auth' \"none\" does not send, expected one of them");
    if (p->auth_header.n > 0 && !peri_option_is_header_name(p->auth_header))
        peri_reader_fault(
            r, header,
            "has a bad 'auth_header': must be a header name that the router does not set "
            "itself");
}

void peri_provider_check(struct peri_reader *r, const struct peri_node *node, void *at) {
    struct peri_read_provider *p = at;
    if (node == NULL) return;
    const struct peri_node *id = peri_node_get(node, PERI_STR("id"));
    if (id != NULL && p->out.id.p != NULL && !peri_option_is_id(p->out.id)) {
        size_t path = peri_reader_push(r, PERI_STR("id"));
        peri_reader_expected(r, id, PERI_OPTION_ID_EXPECTED);
        peri_reader_pop(r, path);
    }
    if (r->network.n > 0) {
        check_network(r, node, p);
        return;
    }
    if (peri_node_get(node, PERI_STR("url")) == NULL &&
        peri_node_get(node, PERI_STR("network")) == NULL)
        peri_reader_fault(r, node, "lacks 'url': base URL such as \"https://api.openai.com/v1\"");
    check_keys(r, node, p);
    check_auth(r, node, &p->out);
    complete_discovery(node, &p->out);
}

/* ---- the whole configuration ---- */

static void check_ids(struct peri_reader *r, const struct peri_node *providers) {
    if (providers == NULL || !peri_node_is_list(providers)) return;
    struct peri_map by_id;
    size_t index = 0;
    peri_map_init(&by_id);
    for (struct peri_node *n = providers->first; n != NULL; n = n->next) {
        struct peri_node *id = peri_node_get(n, PERI_STR("id"));
        char at[PERI_WHERE_MAX];
        index++;
        if (id == NULL || id->kind != PERI_NODE_STRING) continue;
        enum peri_err err = peri_map_add(&by_id, id->text, id);
        if (err == PERI_OK) continue;
        if (err != PERI_EEXIST) {
            r->err = err;
            break;
        }
        const struct peri_node *other = peri_map_get(&by_id, id->text);
        peri_fault_list_add(
            r->faults, &id->where,
            "'providers[%zu].id' is '%.*s' again (first at %s), expected each id once", index,
            (int)(id->text.n < 128 ? id->text.n : 128), id->text.p,
            peri_where_text(at, &other->where));
    }
    peri_map_done(&by_id);
}

static void check_admin(struct peri_reader *r, const struct peri_node *root) {
    const struct peri_node *admin = peri_node_get(root, PERI_STR("admin"));
    const struct peri_node *listen =
        admin == NULL ? NULL : peri_node_get(admin, PERI_STR("listen"));
    if (admin == NULL || peri_node_get(admin, PERI_STR("key")) != NULL) return;
    for (size_t i = 0; i < r->config->admin_listen_count; i++) {
        struct peri_str address = r->config->admin_listen[i];
        bool is_loopback = true;
        if (peri_option_listen(address, &is_loopback) != NULL || is_loopback) continue;
        peri_fault_list_add(
            r->faults, listen != NULL ? &listen->where : &admin->where,
            "'admin.listen' is %.*s, which others can reach: expected 'admin.key', or "
            "a loopback address such as 127.0.0.1:9001",
            PERI_STR_ARGS(address));
    }
}

static void check_listen(struct peri_reader *r, const struct peri_node *root) {
    const struct peri_node *listen = peri_node_get(root, PERI_STR("listen"));
    const struct peri_node *keys = peri_node_get(root, PERI_STR("keys"));
    bool has_keys = keys != NULL && (keys->kind != PERI_NODE_TABLE || keys->item_count > 0);
    if (has_keys) return;
    for (size_t i = 0; i < r->config->listen_count; i++) {
        struct peri_str address = r->config->listen[i];
        bool is_loopback = true;
        if (peri_option_listen(address, &is_loopback) != NULL || is_loopback) continue;
        peri_fault_list_add(
            r->faults, listen != NULL ? &listen->where : &root->where,
            "'listen' is %.*s, which others can reach, and no client keys are configured: expected "
            "'keys' (a list of secrets), or a loopback address such as 127.0.0.1:9000",
            PERI_STR_ARGS(address));
        return;
    }
    peri_fault_list_warn(
        r->faults, &root->where,
        "no client keys are configured: anyone on this machine may use the router");
}

/* A key is what a page of a stranger lacks. */
static void check_cors(struct peri_reader *r, const struct peri_node *root) {
    const struct peri_node *cors = peri_node_get(root, PERI_STR("cors"));
    if (cors == NULL || r->config->key_count > 0) return;
    for (size_t i = 0; i < r->config->cors_origin_count; i++)
        if (peri_str_eq(r->config->cors_origins[i], PERI_STR("*")))
            peri_fault_list_warn(
                r->faults, &cors->where,
                "'cors.origins' has \"*\" and no client keys are configured: every "
                "page that a browser on this machine shows may use the router");
}

static void check_default_model(struct peri_reader *r, const struct peri_node *root) {
    const struct peri_node *model = peri_node_get(root, PERI_STR("default_model"));
    struct peri_str name = r->config->default_model;
    const char *fault = name.n == 0 ? NULL : peri_name_fault(name);
    if (model != NULL && fault != NULL)
        peri_fault_list_add(r->faults, &model->where,
                            "'default_model' names a model, and the name %s", fault);
}

void peri_config_check(struct peri_reader *r, const struct peri_node *node, void *at) {
    (void)at;
    if (node == NULL) return;
    const struct peri_node *providers = peri_node_get(node, PERI_STR("providers"));
    if (providers == NULL)
        peri_fault_list_add(
            r->faults, &node->where,
            "no provider is configured: expected 'providers', --upstream URL, or an environment "
            "variable such as OPENAI_API_KEY");
    check_ids(r, providers);
    check_default_model(r, node);
    check_listen(r, node);
    check_admin(r, node);
    check_cors(r, node);
    r->config->file = node->where.origin == PERI_ORIGIN_FILE ? peri_reader_dup(r, node->where.name)
                                                             : PERI_STR("");
}
