/* The JSON front end of the configuration: the same schema, from `*.json` files and from host programs. A secret
 * is {"secret": "env:NAME"}, or where an option asks for a secret simply "env:NAME". */
#ifndef PERI_CONFIG_CONFIG_JSON_H
#define PERI_CONFIG_CONFIG_JSON_H

#include "config/config_tree.h"

/* Read a text.
 *   root    in the arena, with the line of every key
 *   name    what faults call the text; lives as long as the arena
 *   gives   PERI_OK · PERI_ECONFIG see faults · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_config_json_read(struct peri_node **root, struct peri_arena *a,
                                                  struct peri_str text, struct peri_str name,
                                                  struct peri_fault_list *faults);

#endif
