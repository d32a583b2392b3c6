/* The language that configurations and policies are written in. The router knows it by this interface alone: it reads a file
 * of the configuration into a tree, and makes policies of the files that the configuration names.
 */
#ifndef PERI_ROUTER_LANGUAGE_H
#define PERI_ROUTER_LANGUAGE_H

#include "config/config_tree.h"
#include "config/secret_source.h"
#include "request/policy.h"

/* What a set of policies is made with; must outlive the runtime. */
struct peri_policy_home {
    struct peri_config *config;
    struct peri_shared *shared; /* what policies remember */
    const char *lua_dir;        /* where `require "perilune.…"` looks */
    struct peri_meter *meter;   /* of sample runs, else NULL */
    bool proves;                /* texts are tried on samples when they are loaded */
    atomic_uint falls; /* counts changes of standings: workers compare it before they call a hook */
};

struct peri_language {
    /* Read a file of the configuration.
     *   root    in the arena, with positions
     *   path    NUL-terminated, as it shall appear in faults; lives as long as the arena
     *   folder  where paths start; may be empty
     *   gives   PERI_OK · PERI_ECONFIG see faults (unreadable file included) · PERI_ENOMEM */
    enum peri_err (*read_config)(struct peri_node **root, struct peri_arena *a,
                                 struct peri_str path, struct peri_str folder,
                                 struct peri_secret_box *box, struct peri_fault_list *faults);
    /* The source that a runtime loads its policies from. */
    struct peri_policy_source (*policies)(struct peri_policy_home *home);
};

/* Lua, in script/language_lua.c. */
extern const struct peri_language peri_language_lua;

#endif
