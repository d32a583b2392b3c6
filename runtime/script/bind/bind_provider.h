/* What a policy sees of a provider: a read-only object with its settings and vitals, never its credentials. */
#ifndef PERI_SCRIPT_BIND_BIND_PROVIDER_H
#define PERI_SCRIPT_BIND_BIND_PROVIDER_H

#include "fleet/fleet.h"
#include "script/state/state.h"

/* Create the metatable; once a state. */
PERI_RAISES void peri_bind_provider_open(lua_State *L, struct peri_state *s);
/* Push a provider of that fleet: the same object each time, as long as somebody holds it. */
PERI_RAISES void peri_bind_provider_push(lua_State *L, struct peri_fleet *f,
                                         const struct peri_provider *p);
/* The provider at that argument, or raise. An id (string) is looked up in `f`, and so is a provider of an older
 * fleet; NULL when `f` has none of that id. */
PERI_RAISES const struct peri_provider *peri_bind_provider_check(lua_State *L, int arg,
                                                                 struct peri_fleet *f);

#endif
