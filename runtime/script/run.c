#include "script/run.h"

#include "base/err.h"
#include "script/open.h"
#include "script/state/task.h"

struct run {
    const struct peri_script *script;
    int *result;
    enum peri_err err;
};

static void set_arguments(lua_State *L, const struct peri_script *script) {
    lua_createtable(L, script->argc, 1);
    lua_pushstring(L, script->path);
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < script->argc; i++) {
        lua_pushstring(L, script->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "arg");
}

static int run_script(lua_State *L) { /* protected */
    struct run *run = lua_touserdata(L, 1);
    const struct peri_script *script = run->script;
    set_arguments(L, script);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "run");
    run->err = peri_push_file(L, script->path);
    if (run->err != PERI_OK) return luaL_error(L, "%s: %s", script->path, peri_err_text(run->err));
    luaL_checkstack(L, script->argc, "too many arguments");
    for (int i = 0; i < script->argc; i++) lua_pushstring(L, script->argv[i]);
    lua_call(L, script->argc + 1, 1);
    if (lua_isinteger(L, -1)) *run->result = (int)lua_tointeger(L, -1);
    return 0;
}

enum peri_err peri_script_run(const struct peri_script *script, int *result,
                              struct peri_fault *fault) {
    struct run run = { script, result, PERI_OK };
    struct peri_state_options options = { .is_trusted = true,
                                          .log = script->log,
                                          .search = script->search };
    struct peri_state *s = NULL;
    *result = 0;
    enum peri_err err = peri_loop_new(&options.loop);
    if (err == PERI_OK) err = peri_state_new(&s, &options);
    if (err != PERI_OK) {
        peri_fault_set(fault, err, "%s: %s", script->path, peri_err_text(err));
    } else {
        err = peri_state_call(s, run_script, &run, fault);
        if (run.err != PERI_OK) err = run.err;
        if (err != PERI_OK && fault != NULL) fault->err = err;
    }
    peri_state_free(s);
    peri_loop_free(options.loop);
    return err;
}
