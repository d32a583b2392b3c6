#include "script/policy/policy_lua.h"

#include "base/err.h"
#include "base/mem.h"
#include "script/bind/bind_hook.h"
#include "script/bind/bind_json.h"
#include "script/bind/bind_provider.h"
#include "script/bind/bind_request.h"
#include "script/policy/policy_load.h"
#include "script/policy/policy_parts.h"
#include "script/policy/sample.h"
#include "script/state/task.h"

/* The documents live on to the end of the loop's turn, but the client's bytes, which they are views of, do not. */
static int forget_in_lua(lua_State *L) {
    struct peri_lua_request *r = lua_touserdata(L, 1);
    struct peri_request *q = r->request;
    peri_bind_request_forget(L, r);
    if (q->body != NULL) peri_bind_json_forget(L, q->body);
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &q->attempts) {
        struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        if (a->own_body != NULL) peri_bind_json_forget(L, a->own_body);
    }
    return 0;
}

static void forget(void *self, struct peri_request *q) {
    struct peri_policy_lua *set = self;
    struct peri_lua_request *r = q->task;
    if (r == NULL) return;
    struct peri_task *task = r->task;
    r->task = NULL;
    if (task != NULL) peri_task_cancel(task);
    enum peri_err err = peri_state_tend(set->state, forget_in_lua, r);
    if (err != PERI_OK) peri_bug("an object that exists can be forgotten");
    q->task = NULL;
}

/* ---- Life ---- */

static void free_set(void *self) {
    struct peri_policy_lua *set = self;
    peri_state_free(set->state);
    for (size_t i = 0; i < set->count; i++) peri_policy_standing_unref(set->links[i].standing);
    peri_arena_done(&set->arena);
    peri_free(set);
}

static void free_policy(struct peri_policy *p) { free_set(p->self); }

static bool has_hook(const struct peri_policy_lua *set, enum peri_hook hook) {
    for (size_t i = 0; i < set->count; i++)
        if (set->links[i].hooks[hook] != LUA_NOREF) return true;
    return false;
}

/* Only the hooks that some policy of the chain has; one that lets nothing pass decides about everything. */
static void fill_ops(struct peri_policy_lua *set) {
    bool decides = has_hook(set, PERI_ON_REQUEST) || has_hook(set, PERI_ON_ROUTE);
    set->ops = (struct peri_policy_ops){
        .decide = decides || set->closed != NULL ? peri_policy_decide : NULL,
        .attempt = has_hook(set, PERI_ON_ATTEMPT) ? peri_policy_on_attempt : NULL,
        .event = has_hook(set, PERI_ON_EVENT) ? peri_policy_on_event : NULL,
        .answer = has_hook(set, PERI_ON_ANSWER) ? peri_policy_on_answer : NULL,
        .done = has_hook(set, PERI_ON_DONE) ? peri_policy_on_done : NULL,
        .epoch = has_hook(set, PERI_ON_EPOCH) ? peri_policy_on_epoch : NULL,
        .forget = forget,
    };
}

/* ---- Which text of a policy is current ---- */

static int drop_hooks(lua_State *L) { /* protected */
    struct peri_link *link = lua_touserdata(L, 1);
    for (int i = 0; i < PERI_HOOK_COUNT; i++) {
        luaL_unref(L, LUA_REGISTRYINDEX, link->hooks[i]);
        link->hooks[i] = LUA_NOREF;
    }
    luaL_unref(L, LUA_REGISTRYINDEX, link->table);
    link->table = LUA_NOREF;
    return 0;
}

/* Nothing of it runs any more. One that may be done without goes, with the memory it held; the hooks of a guard stay and
 * are places where its requests end. */
static void leave_out(struct peri_policy_lua *set, struct peri_link *link) {
    link->state = PERI_POLICY_OUT;
    if (!link->is_guard) {
        enum peri_err err = peri_state_tend(set->state, drop_hooks, link);
        (void)err; /* to give references back can not fail */
        return;
    }
    link->is_closed = true;
    if (link->network_count == 0) set->closed = link;
}

static enum peri_err load_link(struct peri_policy_lua *set, struct peri_link *link,
                               struct peri_policy_standing *standing,
                               const struct peri_config *config, struct peri_fault *fault) {
    enum peri_policy_state state = peri_policy_state_of(standing);
    const struct peri_policy_file *file = peri_policy_text(standing, state);
    struct peri_link made = { .standing = standing, .state = state };
    /* For the name of one that is out, and what it wants to happen then, its own text is asked. */
    enum peri_err err =
        peri_policy_load(set, &made, file != NULL ? file : standing->file, config, fault);
    if (err != PERI_OK) { /* the text may have given hooks away before it failed */
        enum peri_err ignored = peri_state_tend(set->state, drop_hooks, &made);
        (void)ignored;
        return err;
    }
    peri_policy_standing_name(standing, made.name, made.is_guard);
    made.generation =
        state == PERI_POLICY_FELL_BACK ? standing->earlier->generation : set->policy.generation;
    *link = made;
    if (state == PERI_POLICY_OUT) leave_out(set, link);
    return PERI_OK;
}

static void change_link(struct peri_policy_lua *set, struct peri_link *link) {
    struct peri_link old = *link;
    struct peri_fault fault;
    while (link->state != peri_policy_state_of(link->standing)) {
        enum peri_policy_state state = peri_policy_state_of(link->standing);
        if (state == PERI_POLICY_OUT) {
            leave_out(set, link);
        } else if (load_link(set, link, link->standing, set->worker->env.config, &fault) ==
                   PERI_OK) {
            enum peri_err err = peri_state_tend(set->state, drop_hooks, &old);
            (void)err;
        } else if (peri_policy_standing_fall(link->standing, state)) {
            peri_policy_say_fall(set, link, PERI_HOOK_COUNT, &fault);
        }
    }
}

void peri_policy_settle_changed(struct peri_policy_lua *set) {
    set->falls_seen = atomic_load(&set->home->falls);
    for (size_t i = 0; i < set->count; i++) change_link(set, &set->links[i]);
    fill_ops(set);
}

/* ---- Opening ---- */

static enum peri_err load_links(struct peri_policy_lua *set,
                                const struct peri_policy_program *program,
                                const struct peri_config *config, struct peri_fault *fault) {
    set->falls_seen = atomic_load(&set->home->falls); /* before the states are looked at */
    set->links = peri_arena_zalloc(&set->arena, program->count * sizeof *set->links);
    if (set->links == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    for (size_t i = 0; i < program->count; i++) {
        enum peri_err err = load_link(set, &set->links[i], program->files[i], config, fault);
        if (err != PERI_OK) return err;
        peri_policy_standing_ref(program->files[i]);
        set->count++;
    }
    return PERI_OK;
}

static int open_bindings(lua_State *L) {
    struct peri_state *s = lua_touserdata(L, 1);
    struct peri_policy_lua *set = s->host;
    peri_state_push(L, s);
    lua_pushcclosure(L, peri_policy_keep_place, 1);
    set->on_error = luaL_ref(L, LUA_REGISTRYINDEX);
    peri_bind_provider_open(L, s);
    peri_bind_request_open(L, s);
    peri_bind_hook_open(L, s);
    return 0;
}

/* A file that is loaded has no router yet: its worker goes on meanwhile, with its loop and its log. What the file says
 * goes through a log of its own to the same place. */
static enum peri_err load_program(struct peri_policy_lua *set,
                                  const struct peri_policy_program *program,
                                  const struct peri_config *config, const struct peri_worker *w,
                                  struct peri_fault *fault) {
    if (w == NULL) return load_links(set, program, config, fault);
    struct peri_logs *logs = peri_malloc(sizeof *logs);
    if (logs == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    peri_runtime_open_log(w->runtime, logs, config);
    set->state->log = &logs->of[PERI_COMPONENT_POLICY];
    enum peri_err err = load_links(set, program, config, fault);
    set->state->log = NULL;
    peri_logs_done(logs);
    peri_free(logs);
    return err;
}

static void adopt_set(struct peri_policy *p, struct peri_worker *w) {
    struct peri_policy_lua *set = p->self;
    set->worker = w;
    set->state->loop = w->env.loop;
    set->state->log = &w->env.logs.of[PERI_COMPONENT_POLICY];
}

static enum peri_err open_set(struct peri_policy_home *home, struct peri_policy **out,
                              struct peri_policy_program *program, struct peri_worker *w,
                              uint64_t generation, struct peri_fault *fault) {
    struct peri_policy_lua *set = peri_calloc(1, sizeof *set);
    if (set == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    peri_arena_init(&set->arena, 0);
    set->home = home;
    set->spending =
        (struct peri_policy_limits){ home->config->policy_budget_ms, home->config->policy_mib_ms,
                                     home->config->policy_request_ms,
                                     home->config->policy_second_ms };
    set->policy.generation = generation;
    const char *search[] = { home->lua_dir, NULL }; /* each policy's own folder comes before it */
    const struct peri_config *c = home->config;
    struct peri_budget_limits limits = { .steps = c->policy_instructions,
                                         .cpu_ms = (uint32_t)c->policy_budget_ms };
    struct peri_state_options options = {
        .heap_max = c->policy_memory_bytes,
        .entry = limits,
        .load = limits,
        .allow = w == NULL ? NULL : peri_policy_allow,
        .settle = w == NULL ? NULL : peri_policy_settle_entry,
        .shared = home->shared,
        .host = set,
        .search = search,
        .meter = home->meter,
        .seed = c->seed == 0 || w == NULL ? 0 : c->seed + w->index,
        .clock = w == NULL ? NULL : w->runtime->clock,
        .dial = w == NULL ? NULL : w->runtime->world.dial,
        .dial_arg = w == NULL ? NULL : w->runtime->world.arg,
    };
    enum peri_err err = peri_state_new(&set->state, &options);
    if (err != PERI_OK)
        peri_fault_set(fault, err, "the policies' memory limit of %zu bytes is too small",
                       options.heap_max);
    if (err == PERI_OK) err = peri_state_call(set->state, open_bindings, set->state, fault);
    if (err == PERI_OK) err = load_program(set, program, c, w, fault);
    if (err != PERI_OK) {
        free_set(set);
        return err;
    }
    peri_budget_done(&set->state->budget); /* no signal of this thread's comes any more */
    fill_ops(set);
    set->policy = (struct peri_policy){ .ops = &set->ops,
                                        .self = set,
                                        .free = free_policy,
                                        .name = set->links[0].name,
                                        .generation = generation,
                                        .refs = 1 };
    *out = &set->policy;
    return PERI_OK;
}

static enum peri_err source_load(void *arg, void **out, void *current, uint64_t generation,
                                 struct peri_fault *fault) {
    struct peri_policy_home *home = arg;
    struct peri_policy_program *program = NULL;
    enum peri_err err =
        peri_policy_program_read(&program, home->config, current, generation, fault);
    *out = program;
    return err;
}

static void source_prove(void *arg, void *program, void *current) {
    struct peri_policy_home *home = arg;
    if (home->proves) peri_sample_prove(home->config, program, current);
}

static void source_list(void *arg, void *program, struct peri_buf *out) {
    (void)arg;
    peri_policy_program_list(program, out);
}

static enum peri_err source_open(void *arg, struct peri_policy **out, void *program,
                                 struct peri_worker *w, uint64_t generation,
                                 struct peri_fault *fault) {
    return open_set(arg, out, program, w, generation, fault);
}

static void source_drop(void *arg, void *program) {
    (void)arg;
    peri_policy_program_free(program);
}

struct peri_policy_source peri_policy_lua_source(struct peri_policy_home *home) {
    return (struct peri_policy_source){ .load = source_load,
                                        .open = source_open,
                                        .prove = source_prove,
                                        .adopt = adopt_set,
                                        .drop = source_drop,
                                        .list = source_list,
                                        .arg = home };
}
