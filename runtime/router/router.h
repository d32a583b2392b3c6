/* The public router (perilune.h) from inside: for the program's `serve`, which also reloads configurations. */
#ifndef PERI_ROUTER_ROUTER_H
#define PERI_ROUTER_ROUTER_H

#include "router/language.h"
#include "router/runtime.h"

struct peri_router {
    struct peri_runtime *runtime;
    struct peri_policy_home home;
    struct peri_shared *shared;
    struct peri_policy c_policy; /* of the host program; ops NULL: Lua policies */
    struct peri_policy_ops c_ops;
    char c_name[64];
    struct peri_list held_ends; /* of requests from C, see sending.c; of the thread that serves */
    bool is_open;
};

/* From a configuration that is checked already; one reference is taken. `options` may be NULL. */
PERI_MUST_USE enum peri_err peri_router_new_with(struct peri_router **out,
                                                 struct peri_config *config,
                                                 const struct peri_router_options *options,
                                                 struct peri_fault *fault);
/* As peri_router_new, in a world that is not the machine's. `world` is copied; what it points to outlives the router. */
PERI_MUST_USE enum peri_err peri_router_new_in(struct peri_router **out,
                                               const struct peri_router_options *options,
                                               const struct peri_world *world,
                                               struct peri_fault *fault);
/* Make another configuration the current one: providers, keys, limits of new requests, policies. What it takes a restart for
 * (listen, workers, log) stays as it was. Nothing changes when anything is wrong with it.
 *   generation   out, may be NULL: of the policies */
PERI_MUST_USE enum peri_err peri_router_reconfigure(struct peri_router *r,
                                                    struct peri_config *config,
                                                    uint64_t *generation, struct peri_fault *fault);

/* sending.c: the hosts that did not go on taking their answers are told the end. After every worker is gone. */
void peri_router_end_sendings(struct peri_router *r);

#endif
