/* For the tests of this layer: a sandboxed state and a piece of Lua run in it as a task. */
#ifndef PERI_SCRIPT_STATE_TESTING_H
#define PERI_SCRIPT_STATE_TESTING_H

#include "base/err.h"
#include "base/test.h"
#include "script/state/task.h"

struct script {
    const char *text; /* the chunk that is called */
    int done_calls;
    enum peri_err done_err;
    struct peri_fault fault;
    char result[4000]; /* its first result, as text; "" for none */
    int count;         /* of results */
};

__attribute__((unused)) static int script_push(lua_State *L, void *arg) {
    struct script *script = arg;
    peri_push_chunk(L, "test.lua", peri_str_of(script->text));
    return 0;
}

__attribute__((unused)) static void script_take(lua_State *L, int count, void *arg) {
    struct script *script = arg;
    script->count = count;
    if (count == 0) return;
    snprintf(script->result, sizeof script->result, "%s", luaL_tolstring(L, 1, NULL));
}

__attribute__((unused)) static void script_done(void *arg, enum peri_err err,
                                                const struct peri_fault *fault) {
    struct script *script = arg;
    script->done_calls++;
    script->done_err = err;
    script->fault = *fault;
}

static const struct peri_task_ops script_ops = { script_push, script_take, script_done };

__attribute__((unused)) static enum peri_task_status
script_run(struct peri_state *s, struct script *script, const char *text) {
    memset(script, 0, sizeof *script);
    script->text = text;
    return peri_task_start(NULL, s, &script_ops, script, &script->fault);
}

/* 16 MiB and 50 ms, as a policy may have. */
static const struct peri_state_options script_options = {
    .heap_max = 16u << 20, .entry = { .cpu_ms = 50 }, .load = { .cpu_ms = 50 }, .seed = 1
};

/* Run a chunk: its first result as text, or "!" and the message when it fails. Good until the next call. */
__attribute__((unused)) static struct peri_str script_says(struct peri_state *s, const char *text) {
    static char said[4096];
    struct script script;
    bool is_done = script_run(s, &script, text) == PERI_TASK_DONE;
    snprintf(said, sizeof said, "%s%s", is_done ? "" : "!",
             is_done ? script.result : script.fault.text);
    return peri_str_of(said);
}

#endif
