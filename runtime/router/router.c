#include "router/router.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/shared.h"
#include "base/sized.h"
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

const char *peri_version(void) { return PERI_VERSION; }

static enum peri_err read_options(struct peri_router_options *out,
                                  const struct peri_router_options *given,
                                  struct peri_fault *fault) {
    *out = (struct peri_router_options){ .size = sizeof *out };
    if (given == NULL || peri_sized_read(out, sizeof *out, given) == PERI_OK) return PERI_OK;
    return peri_fault_set(fault, PERI_EINVAL,
                          "peri_router_options has no size, or has members set that version "
                          "%s of the library does not know",
                          peri_version());
}

static enum peri_err take_policy(struct peri_router *r, const struct peri_router_options *options,
                                 struct peri_fault *fault) {
    struct peri_str name =
        options->policy_name != NULL ? peri_str_of(options->policy_name) : PERI_STR("c");
    if (peri_sized_read(&r->c_ops, sizeof r->c_ops, options->policy) != PERI_OK)
        return peri_fault_set(fault, PERI_EINVAL,
                              "peri_policy_ops has no size, or has hooks that version %s of the "
                              "library does not know",
                              peri_version());
    const char *why = peri_name_fault(name);
    if (name.n == 0 || name.n >= sizeof r->c_name) why = "must have 1 to 63 bytes";
    if (why != NULL) return peri_fault_set(fault, PERI_EINVAL, "policy_name %s", why);
    memcpy(r->c_name, name.p, name.n);
    r->c_policy = (struct peri_policy){ .ops = &r->c_ops,
                                        .self = options->policy_self,
                                        .free = c_free,
                                        .name = { r->c_name, name.n } };
    return PERI_OK;
}

/* `options` are read already. */
static enum peri_err make(struct peri_router **out, struct peri_config *config,
                          const struct peri_router_options *options, const struct peri_world *world,
                          struct peri_fault *fault) {
    struct peri_world own = { 0 };
    if (world != NULL) own = *world;
    if (options->log != NULL) {
        own.log = options->log;
        own.log_arg = options->log_arg;
    }
    struct peri_router *r = peri_calloc(1, sizeof *r);
    if (r == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    peri_list_init(&r->held_ends);
    r->home.config = peri_config_ref(config);
    r->home.lua_dir = options->lua_dir != NULL ? options->lua_dir : PERI_LUA_DIR;
    enum peri_err err =
        peri_shared_new(&r->shared, 0, own.clock != NULL ? own.clock : &peri_clock_real);
    if (err != PERI_OK) {
        peri_router_free(r);
        return peri_fault_set(fault, err, "out of memory");
    }
    r->home.shared = r->shared;
    r->home.proves = world == NULL; /* samples run in a world of their own */
    struct peri_policy_source source = peri_language_lua.policies(&r->home);
    if (options->policy != NULL) {
        err = take_policy(r, options, fault);
        source =
            (struct peri_policy_source){ .load = c_load, .open = c_open, .drop = c_drop, .arg = r };
    }
    if (err == PERI_OK)
        err = peri_runtime_new(&r->runtime, config, &source, options->workers, &own, fault);
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
    struct peri_router_options known;
    enum peri_err err = read_options(&known, options, fault);
    return err != PERI_OK ? err : make(out, config, &known, NULL, fault);
}

static enum peri_err load_config(struct peri_config **out, const struct peri_router_options *o,
                                 struct peri_fault *fault) {
    struct peri_fault_list *faults = peri_calloc(1, sizeof *faults);
    struct peri_secret_box *box = peri_secret_box_new(&peri_env_process_kept);
    enum peri_err err = PERI_ENOMEM;
    if (faults != NULL && box != NULL && o->config_json != NULL) {
        err = peri_config_load_json(out, peri_str_of(o->config_json), PERI_STR("config_json"), box,
                                    faults);
    } else if (faults != NULL && box != NULL) {
        struct peri_config_source source = { .box = box, .file = peri_str_of(o->config_file) };
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
    struct peri_router_options known;
    enum peri_err err = read_options(&known, options, fault);
    if (err == PERI_OK) err = load_config(&config, &known, fault);
    if (err != PERI_OK) return err;
    err = make(out, config, &known, world, fault);
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
    peri_router_end_sendings(r);
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
    return peri_runtime_open(r->runtime, fault);
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
        enum peri_err again = peri_runtime_reload_policies(rt, NULL, &ignored);
        (void)again;
        return err;
    }
    warn_of_fixed(&rt->logs.of[PERI_COMPONENT_CONFIG], rt->config, config);
    peri_config_ref(config);
    peri_config_unref(before);
    return PERI_OK;
}
