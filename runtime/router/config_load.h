/* From files, environment and flags to one checked configuration. Precedence: flag, environment, file, default. */
#ifndef PERI_ROUTER_CONFIG_LOAD_H
#define PERI_ROUTER_CONFIG_LOAD_H

#include "config/options.h"

/* One flag of the command line that sets an option. */
struct peri_config_flag {
    struct peri_str name; /* as it was written, for faults: "--listen" */
    struct peri_str
        path; /* of the option: "listen", "limits.body_bytes"; "upstream" adds a provider */
    struct peri_str text;
};

struct peri_config_source {
    struct peri_str file; /* *.json is read as JSON, everything else as Lua; empty: no file */
    const struct peri_config_flag *flags;
    size_t flag_count;
    struct peri_secret_box *box; /* the environment, and what was taken from it before */
    struct peri_dump *dump;      /* NULL when not wanted */
};

#define PERI_CONFIG_FILE "perilune.lua" /* read when it is there and no other is named */

/*   out     yours, release with peri_config_unref; untouched after a failure
 *   faults  everything that is wrong, and warnings
 *   gives   PERI_OK · PERI_ECONFIG see faults · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_config_load(struct peri_config **out,
                                             const struct peri_config_source *source,
                                             struct peri_fault_list *faults);

/* The same schema from JSON text, for host programs: nothing else is looked at, `env:` secrets aside.
 *   name   what faults call the text
 *   box    where secrets come from */
PERI_MUST_USE enum peri_err peri_config_load_json(struct peri_config **out, struct peri_str text,
                                                  struct peri_str name, struct peri_secret_box *box,
                                                  struct peri_fault_list *faults);

#endif
