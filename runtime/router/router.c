#include "router/router.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/shared.h"
#include "request/admission.h"
#include "router/config_load.h"

/* ---- A policy written in C ---- */

static enum peri_err c_load(void *arg, void **out, void *current, uint64_t generation,
                            struct peri_fault *fault) {
    (void)current, (void)generation, (void)fault;
    *out = arg; /* the router itself: there is nothing to read */
    return PERI_OK;
}

static void c_free(struct peri_policy *p) { peri_free(p); }

static enum peri_err c_open(void *arg, struct peri_policy **out, void *program,
                            struct peri_worker *w, uint64_t generation, struct peri_fault *fault) {
    struct peri_router *r = arg;
    (void)program, (void)w;
    struct peri_policy *p = peri_malloc(sizeof *p);
    if (p == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    *p = r->c_policy;
    p->generation = generation;
    p->refs = 1;
    *out = p;
    return PERI_OK;
}

static void c_drop(void *arg, void *program) { (void)arg, (void)program; }

/* ---- Life ---- */

static enum peri_err make(struct peri_router **out, struct peri_config *config,
                          const struct peri_router_options *options, const struct peri_world *world,
                          struct peri_fault *fault) {
    static const struct peri_router_options none = { 0 };
    if (options == NULL) options = &none;
    struct peri_router *r = peri_calloc(1, sizeof *r);
    if (r == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    r->home.config = peri_config_ref(config);
    r->home.lua_dir = options->lua_dir != NULL ? options->lua_dir : PERI_LUA_DIR;
    enum peri_err err = peri_shared_new(
        &r->shared, 0, world != NULL && world->clock != NULL ? world->clock : &peri_clock_real);
    if (err != PERI_OK) {
        peri_router_free(r);
        return peri_fault_set(fault, err, "out of memory");
    }
    r->home.shared = r->shared;
    struct peri_policy_source source = peri_language_lua.policies(&r->home);
    if (options->policy != NULL) {
        r->c_policy = (struct peri_policy){ .ops = options->policy,
                                            .self = options->policy_self,
                                            .free = c_free,
                                            .name = PERI_STR("c") };
        source = (struct peri_policy_source){ c_load, c_open, NULL, c_drop, r };
    }
    err = peri_runtime_new(&r->runtime, config, &source, options->workers, world, fault);
    if (err != PERI_OK) {
        peri_router_free(r);
        return err;
    }
    *out = r;
    return PERI_OK;
}

enum peri_err peri_router_new_with(struct peri_router **out, struct peri_config *config,
                                   const struct peri_router_options *options,
                                   struct peri_fault *fault) {
    return make(out, config, options, NULL, fault);
}

static enum peri_err load_config(struct peri_config **out, const struct peri_router_options *o,
                                 struct peri_fault *fault) {
    struct peri_fault_list *faults = peri_calloc(1, sizeof *faults);
    struct peri_secret_box *box = peri_secret_box_new(&peri_env_process_kept);
    enum peri_err err = PERI_ENOMEM;
    if (faults != NULL && box != NULL && o != NULL && o->config_json != NULL) {
        err = peri_config_load_json(out, peri_str_of(o->config_json), PERI_STR("config_json"), box,
                                    faults);
    } else if (faults != NULL && box != NULL) {
        struct peri_config_source source = { .box = box };
        if (o != NULL) source.file = peri_str_of(o->config_file);
        err = peri_config_load(out, &source, faults);
    }
    if (err != PERI_OK)
        peri_fault_set(fault, err, "%s",
                       faults != NULL && faults->count > 0 ? faults->faults[0].text
                                                           : peri_err_text(err));
    peri_free(faults);
    peri_secret_box_free(box);
    return err;
}

enum peri_err peri_router_new_in(struct peri_router **out,
                                 const struct peri_router_options *options,
                                 const struct peri_world *world, struct peri_fault *fault) {
    struct peri_config *config;
    enum peri_err err = load_config(&config, options, fault);
    if (err != PERI_OK) return err;
    err = make(out, config, options, world, fault);
    peri_config_unref(config);
    return err;
}

enum peri_err peri_router_new(struct peri_router **out, const struct peri_router_options *options,
                              struct peri_fault *fault) {
    return peri_router_new_in(out, options, NULL, fault);
}

void peri_router_free(struct peri_router *r) {
    if (r == NULL) return;
    peri_runtime_free(r->runtime);
    peri_shared_free(r->shared);
    peri_config_unref(r->home.config);
    peri_free(r);
}

/* ---- Running ---- */

enum peri_err peri_router_start(struct peri_router *r, struct peri_fault *fault) {
    enum peri_err err = peri_runtime_start(r->runtime, fault);
    if (err != PERI_OK) {
        peri_runtime_stop(r->runtime);
        peri_runtime_join(r->runtime);
    }
    return err;
}

void peri_router_join(struct peri_router *r) { peri_runtime_join(r->runtime); }

enum peri_err peri_router_run(struct peri_router *r, struct peri_fault *fault) {
    enum peri_err err = peri_router_start(r, fault);
    if (err == PERI_OK) peri_router_join(r);
    return err;
}

void peri_router_stop(struct peri_router *r) { peri_runtime_stop(r->runtime); }

enum peri_err peri_router_open(struct peri_router *r, struct peri_fault *fault) {
    if (r->runtime->worker_count != 1)
        return peri_fault_set(
            fault, PERI_EINVAL,
            "a router that the host turns has one worker, got %u: set workers = 1",
            r->runtime->worker_count);
    r->is_open = true;
    return peri_worker_listen(r->runtime->workers[0], fault);
}

int peri_router_fd(const struct peri_router *r) {
    return peri_loop_fd(r->runtime->workers[0]->env.loop);
}
int peri_router_wait_ms(struct peri_router *r) {
    return peri_loop_wait_ms(r->runtime->workers[0]->env.loop);
}

bool peri_router_step(struct peri_router *r, bool may_wait) {
    struct peri_worker *w = r->runtime->workers[0];
    peri_loop_step(w->env.loop, may_wait);
    return !w->is_done;
}

unsigned peri_router_port(const struct peri_router *r, size_t i) {
    const struct peri_worker *w = r->runtime->workers[0];
    return i < w->server_count ? peri_server_port(w->servers[i]) : 0;
}

enum peri_err peri_router_reload(struct peri_router *r, struct peri_fault *fault) {
    return peri_runtime_reload_policies(r->runtime, NULL, fault);
}

static bool listens_elsewhere(const struct peri_config *a, const struct peri_config *b) {
    if (a->listen_count != b->listen_count) return true;
    for (size_t i = 0; i < a->listen_count; i++)
        if (!peri_str_eq(a->listen[i], b->listen[i])) return true;
    return false;
}

/* What is fixed at start stays as it is; the operator must not be left to find out. */
static void warn_of_fixed(struct peri_log *log, const struct peri_config *was,
                          const struct peri_config *is) {
    if (listens_elsewhere(was, is))
        peri_log_say(log, PERI_LOG_WARN, "'listen' changes with a restart only");
    if (was->workers != is->workers)
        peri_log_say(log, PERI_LOG_WARN, "'workers' changes with a restart only");
    if (!peri_str_eq(was->log_file, is->log_file) || !peri_logs_are_as(was, is))
        peri_log_say(log, PERI_LOG_WARN, "'log' changes with a restart only");
}

enum peri_err peri_router_reconfigure(struct peri_router *r, struct peri_config *config,
                                      uint64_t *generation, struct peri_fault *fault) {
    struct peri_runtime *rt = r->runtime;
    struct peri_config *before = r->home.config;
    r->home.config = config;
    enum peri_err err = peri_runtime_reload_policies(rt, generation, fault);
    if (err == PERI_OK) err = peri_runtime_reconfigure(rt, config, fault);
    if (err != PERI_OK) {
        r->home.config = before;
        struct peri_fault ignored; /* the old policies were good a moment ago */
        if (peri_runtime_reload_policies(rt, NULL, &ignored) != PERI_OK) return err;
        return err;
    }
    warn_of_fixed(&rt->logs.of[PERI_COMPONENT_CONFIG], rt->config, config);
    peri_config_ref(config);
    peri_config_unref(before);
    return PERI_OK;
}

/* ---- One request from C ---- */

struct sending {
    struct peri_router *router;
    const struct peri_answer_ops *ops;
    void *arg;
    const struct peri_dialect *dialect;
    struct peri_request *request;
    bool is_cut;
    size_t n;
    char body[];
};

static void send_head(void *self, int status, const struct peri_header *headers, size_t count,
                      uint64_t length) {
    struct sending *s = self;
    (void)length;
    if (s->ops->head != NULL) s->ops->head(s->arg, status, headers, count);
}

static enum peri_err send_bytes(void *self, struct peri_str bytes) {
    struct sending *s = self;
    if (s->ops->bytes != NULL) s->ops->bytes(s->arg, bytes);
    return PERI_OK;
}

static void send_flush(void *self) { (void)self; }

static void send_over(struct sending *s, enum peri_err err) {
    if (s->ops->end != NULL) s->ops->end(s->arg, err);
    /* The body is read until the request is freed, at the end of the turn: it goes with the request. */
}

/* An error answer is whole; a stream that an error frame ended is not. */
static void send_end(void *self) {
    struct sending *s = self;
    const struct peri_outcome *o = s->request == NULL ? NULL : &s->request->outcome;
    send_over(s, o != NULL && o->err != PERI_OK && o->status < 400 ? o->err : PERI_OK);
}
static void send_abort(void *self) { send_over(self, PERI_ETRUNCATED); }

static const struct peri_sink_ops send_ops = { send_head, send_bytes, send_flush, send_end,
                                               send_abort };

static void send_now(void *arg) {
    struct sending *s = arg;
    struct peri_worker *w = s->router->runtime->workers[0];
    peri_request_begin_direct(&s->request, &w->env, s->dialect, (struct peri_str){ s->body, s->n },
                              (struct peri_sink){ &send_ops, s }, peri_free);
}

enum peri_err peri_router_send(struct peri_router *r, const char *path, struct peri_str body,
                               const struct peri_answer_ops *ops, void *arg) {
    const struct peri_dialect *dialect = peri_dialect_of_path(peri_str_of(path));
    if (dialect == NULL) return PERI_ENOTFOUND;
    struct sending *s = peri_malloc(sizeof *s + body.n);
    if (s == NULL) return PERI_ENOMEM;
    *s = (struct sending){ r, ops, arg, dialect, NULL, false, body.n };
    memcpy(s->body, body.p, body.n);
    struct peri_worker *w = r->runtime->workers[0];
    if (!w->has_thread) {
        send_now(s);
        return PERI_OK;
    }
    enum peri_err err = peri_loop_post(w->env.loop, send_now, s);
    if (err != PERI_OK) peri_free(s);
    return err;
}
