/* The Lua front end of the configuration: evaluates `perilune.lua` and makes a tree of the table it returns.
 *
 * A configuration is data. It runs in a Lua state of its own that knows four names and nothing else:
 *
 *   env "NAME" [, default]    the variable's value, nil when it is not set
 *   file "PATH"               the file's text without its last newline, at most 1 MiB
 *   secret "env:NAME"         a token for a secret ("file:PATH", "cred:NAME"); its bytes never enter Lua
 *   include "PATH"            what another such file returns
 *
 * Paths start at the folder of the main file. Text chunks only; a budget of instructions, CPU time and memory holds
 * for the whole evaluation. Keys know their lines (script/lua_places.h).
 */
#ifndef PERI_SCRIPT_CONFIG_LUA_H
#define PERI_SCRIPT_CONFIG_LUA_H

#include "config/config_tree.h"
#include "config/secret_source.h"

#define PERI_CONFIG_LUA_INSTRUCTIONS 10000000
#define PERI_CONFIG_LUA_CPU_MS       1000 /* of CPU time */
#define PERI_CONFIG_LUA_BYTES        (32u << 20)

/* Read a file.
 *   root    in the arena, with positions
 *   path    NUL-terminated, as it shall appear in faults; lives as long as the arena
 *   folder  where paths start; may be empty
 *   gives   PERI_OK · PERI_ECONFIG see faults (unreadable file included) · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_config_lua_read(struct peri_node **root, struct peri_arena *a,
                                                 struct peri_str path, struct peri_str folder,
                                                 struct peri_secret_box *box,
                                                 struct peri_fault_list *faults);

#endif
