#include "script/open.h"

#include "script/bind_json.h"
#include "script/bind_server.h"
#include "script/sandbox.h"
#include "script/task.h"

/* Every binding, in the order in which they are opened. */
static const struct peri_lib libs[] = {
    { NULL, peri_bind_base_open, PERI_LIB_BOTH }, /* sleep, rand, rand_below, clock */
    { "json", peri_bind_json_open, PERI_LIB_BOTH },
    { "log", peri_bind_log_open, PERI_LIB_BOTH },
    { "shared", peri_bind_shared_open, PERI_LIB_BOTH },
    { NULL, peri_bind_run_open, PERI_LIB_TRUSTED },    /* run, spawn */
    { NULL, peri_bind_server_open, PERI_LIB_TRUSTED }, /* http.serve */
};

void peri_open_module(lua_State *L, struct peri_state *s, int where) {
    lua_newtable(L);
    for (size_t i = 0; i < sizeof libs / sizeof *libs; i++) {
        if ((libs[i].where & where) == 0) continue;
        int top = lua_gettop(L);
        libs[i].open(L, s);
        if (libs[i].name == NULL) continue;
        if (!s->options.is_trusted && lua_istable(L, -1)) peri_sandbox_freeze(L, libs[i].name);
        lua_setfield(L, top, libs[i].name);
    }
    if (!s->options.is_trusted) peri_sandbox_freeze(L, "perilune");
}

int luaopen_perilune(lua_State *L) {
    peri_open_module(L, peri_state_attach(L), PERI_LIB_TRUSTED);
    return 1;
}

void peri_open_detach(struct peri_state *s) { peri_state_cancel_all(s); }
