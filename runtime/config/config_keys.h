/* The file of client keys that GONKA_API_KEYS_FILE names: {"keys": [{"key", "owner", "active", …}]}, as the gateway
 * this variable comes from wrote it. Keys that are not active are left out; limits in it have no effect here. */
#ifndef PERI_CONFIG_CONFIG_KEYS_H
#define PERI_CONFIG_CONFIG_KEYS_H

#include "config/config_tree.h"
#include "config/secret_source.h"

/* The value of the option `keys`.
 *   list    in the arena; the keys' bytes stay in the box
 *   gives   PERI_OK · PERI_ECONFIG see faults · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_config_keys_read(struct peri_node **list, struct peri_arena *a,
                                                  struct peri_str path, struct peri_where where,
                                                  struct peri_secret_box *box,
                                                  struct peri_fault_list *faults);

#endif
