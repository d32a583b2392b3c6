#include "router/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "request/queue.h"

/* ---- Who waits ---- */

static void wake_queue(void *arg) {
    struct peri_worker *w = arg;
    peri_worker_refresh(w);
    peri_queue_wake(&w->env);
}

/* After what they wait for has come, for everybody: see peri_queue_add. */
static void wake_waiting(struct peri_runtime *rt) {
    if (atomic_load(&rt->waiting) == 0) return;
    /* Which request waits longest can not be told across workers without a lock: all workers are woken, and each
     * keeps its own order. A message that could not be sent is made up for by the queue's own deadline. */
    for (unsigned i = 0; i < rt->worker_count; i++) {
        enum peri_err err = peri_loop_post(rt->workers[i]->env.loop, wake_queue, rt->workers[i]);
        (void)err;
    }
}

/* ---- Fleet ---- */

struct peri_fleet *peri_runtime_fleet(struct peri_runtime *rt) {
    pthread_mutex_lock(&rt->lock);
    struct peri_fleet *fleet = rt->fleet == NULL ? NULL : peri_fleet_ref(rt->fleet);
    pthread_mutex_unlock(&rt->lock);
    return fleet;
}

void peri_runtime_publish(struct peri_runtime *rt, struct peri_fleet *fleet) {
    pthread_mutex_lock(&rt->lock);
    struct peri_fleet *old = rt->fleet;
    rt->fleet = fleet;
    /* Before the count of those who wait is looked at, in one order for all threads: see await_discovery in request.c. */
    atomic_fetch_add(&rt->fleet_version, 1);
    pthread_mutex_unlock(&rt->lock);
    peri_fleet_unref(old);
    peri_vitals_sweep(rt->vitals, peri_clock_monotonic_ns(rt->clock) / 1000000);
    wake_waiting(rt); /* for what was not known so far */
}

/* ---- Orders to every worker ---- */

/* One function run on each worker's thread, and waited for. All the memory that takes is there before the first worker
 * hears of it: either every worker carries the order out, on its own thread, or none does. */
struct order_for {
    struct order *order;
    struct peri_worker *worker;
    struct peri_policy *made;
    struct peri_message message;
};

struct order {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned left;
    void (*run)(struct peri_worker *w, struct peri_policy_source *source, struct peri_policy *made);
    struct peri_runtime *runtime;
    struct order_for *jobs; /* by worker */
};

static enum peri_err order_init(struct order *o, struct peri_runtime *rt) {
    *o = (struct order){ .runtime = rt };
    o->jobs = peri_calloc(rt->worker_count, sizeof *o->jobs);
    if (o->jobs == NULL) return PERI_ENOMEM;
    for (unsigned i = 0; i < rt->worker_count; i++)
        o->jobs[i] = (struct order_for){ .order = o, .worker = rt->workers[i] };
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    return PERI_OK;
}

static void order_done(struct order *o) {
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->changed);
    peri_free(o->jobs);
}

static void count_out(struct order *o) {
    pthread_mutex_lock(&o->lock);
    o->left--;
    pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

static void run_order(void *arg) {
    struct order_for *job = arg;
    job->order->run(job->worker, &job->order->runtime->policies, job->made);
    count_out(job->order);
}

/* Hand a worker its job.
 *   gives   false when that worker has ended: nobody runs it */
static bool hand_over(struct order_for *job) {
    struct peri_runtime *rt = job->order->runtime;
    struct peri_worker *w = job->worker;
    pthread_mutex_lock(&rt->lock);
    bool has_ended = w->has_ended, has_thread = w->has_thread;
    if (has_thread && !has_ended) peri_loop_hand(w->env.loop, &job->message, run_order, job);
    pthread_mutex_unlock(&rt->lock);
    if (has_ended) return false;
    if (!has_thread) run_order(job); /* before the threads run */
    return true;
}

static void give_order(struct order *o) {
    struct peri_runtime *rt = o->runtime;
    o->left = rt->worker_count;
    for (unsigned i = 0; i < rt->worker_count; i++) {
        if (hand_over(&o->jobs[i])) continue;
        peri_policy_unref(o->jobs[i].made); /* never shown to that worker */
        count_out(o);
    }
    pthread_mutex_lock(&o->lock);
    while (o->left > 0) pthread_cond_wait(&o->changed, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

/* ---- Policies ---- */

/* One policy for each worker, here and not in the workers' turn: a file may take its whole budget to load, and the
 * clients of the old generation are not to wait for it. The first that fails is enough. */
static enum peri_err build(struct order *o, void *program, uint64_t generation,
                           struct peri_fault *fault) {
    struct peri_runtime *rt = o->runtime;
    struct peri_policy_source *source = &rt->policies;
    enum peri_err err = PERI_OK;
    unsigned i = 0;
    for (; i < rt->worker_count && err == PERI_OK; i++)
        err =
            source->open(source->arg, &o->jobs[i].made, program, rt->workers[i], generation, fault);
    if (err == PERI_OK) return PERI_OK;
    for (i--; i > 0; i--) peri_policy_unref(o->jobs[i - 1].made);
    return err;
}

static void swap(struct peri_worker *w, struct peri_policy_source *source,
                 struct peri_policy *made) {
    if (made != NULL && source->adopt != NULL) source->adopt(made, w);
    peri_policy_unref(w->env.policy);
    w->env.policy = made;
}

enum peri_err peri_runtime_reload_policies(struct peri_runtime *rt, uint64_t *generation,
                                           struct peri_fault *fault) {
    struct peri_policy_source *source = &rt->policies;
    void *program = NULL, *old;
    if (source->load == NULL) return PERI_OK;
    if (atomic_load(&rt->is_stopping))
        return peri_fault_set(fault, PERI_ESTOPPING, "the router is stopping");
    enum peri_err err = source->load(source->arg, &program, rt->program, rt->generation + 1, fault);
    if (err != PERI_OK) return err;
    struct order o;
    if (order_init(&o, rt) != PERI_OK) {
        source->drop(source->arg, program);
        return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    }
    uint64_t next = rt->generation + 1;
    if (program != NULL) err = build(&o, program, next, fault);
    if (err == PERI_OK && program != NULL && source->prove != NULL)
        source->prove(source->arg, program, rt->program);
    if (err == PERI_OK) {
        o.run = swap;
        give_order(&o);
        pthread_mutex_lock(&rt->lock);
        old = rt->program;
        rt->program = program;
        pthread_mutex_unlock(&rt->lock);
        rt->generation = next;
        program = old;
        if (generation != NULL) *generation = next;
    }
    if (program != NULL) source->drop(source->arg, program);
    order_done(&o);
    return err;
}

void peri_runtime_list_policies(struct peri_runtime *rt, struct peri_buf *out) {
    pthread_mutex_lock(&rt->lock); /* so that the program is not dropped meanwhile */
    if (rt->program != NULL && rt->policies.list != NULL)
        rt->policies.list(rt->policies.arg, rt->program, out);
    else
        peri_buf_add(out, PERI_STR("[]"));
    pthread_mutex_unlock(&rt->lock);
}

/* ---- Slots ---- */

void peri_runtime_slot_freed(struct peri_runtime *rt) { wake_waiting(rt); }

/* ---- Life ---- */

/* gives the descriptor, -1 with the reason in `fault` */
static int open_log_file(const struct peri_runtime *rt, struct peri_fault *fault) {
    const char *path = rt->config->log_file.p;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) peri_fault_set(fault, PERI_EIO, "log file '%s': %s", path, strerror(errno));
    return fd;
}

static enum peri_err open_log(struct peri_runtime *rt, struct peri_fault *fault) {
    struct peri_str file = rt->config->log_file;
    rt->log_fd = rt->world.log_fd > 0 ? rt->world.log_fd : 2;
    if (rt->world.log == NULL && rt->world.log_fd == 0 && file.n > 0 &&
        !peri_str_eq(file, PERI_STR("-"))) {
        rt->log_fd = open_log_file(rt, fault);
        if (rt->log_fd < 0) return PERI_EIO;
        rt->owns_log_fd = true;
    }
    peri_runtime_open_log(rt, &rt->logs, rt->config);
    return PERI_OK;
}

/* The number stays and every thread's log with it: the file behind it is exchanged in one step. */
enum peri_err peri_runtime_reopen_log(struct peri_runtime *rt, struct peri_fault *fault) {
    if (!rt->owns_log_fd) return PERI_OK;
    int fd = open_log_file(rt, fault);
    if (fd < 0) return PERI_EIO;
    enum peri_err err = PERI_OK;
    if (dup3(fd, rt->log_fd, O_CLOEXEC) < 0)
        err = peri_fault_set(fault, PERI_EIO, "log file: %s", strerror(errno));
    close(fd);
    return err;
}

void peri_runtime_open_log(const struct peri_runtime *rt, struct peri_logs *logs,
                           const struct peri_config *config) {
    peri_logs_init(logs, rt->log_fd, config, rt->clock);
    logs->whole.on_line = rt->world.log;
    logs->whole.arg = rt->world.log_arg;
}

static unsigned cores(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

enum peri_err peri_runtime_new(struct peri_runtime **out, struct peri_config *config,
                               const struct peri_policy_source *policies, unsigned workers,
                               const struct peri_world *world, struct peri_fault *fault) {
    struct peri_runtime *rt = peri_calloc(1, sizeof *rt);
    if (rt == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    pthread_mutex_init(&rt->lock, NULL);
    rt->config = peri_config_ref(config);
    if (world != NULL) rt->world = *world;
    rt->clock = rt->world.clock != NULL ? rt->world.clock : &peri_clock_real;
    rt->started_ns = peri_clock_wall_ns(rt->clock);
    rt->log_fd = -1;
    if (policies != NULL) rt->policies = *policies;
    if (workers == 0) workers = config->workers != 0 ? config->workers : cores();
    enum peri_err err = open_log(rt, fault);
    if (err != PERI_OK) goto fail;
    if ((err = peri_vitals_table_new(&rt->vitals)) != PERI_OK) goto fail;
    struct peri_rand rand;
    peri_rand_seed_as(&rand, config->seed);
    peri_stamps_init(&rt->stamps, peri_rand_next(&rand));
    struct peri_fleet *fleet;
    if ((err = peri_control_new(&rt->control, rt, config, fault)) != PERI_OK) goto fail;
    if ((err = peri_control_fleet(rt->control, &fleet, fault)) != PERI_OK) goto fail;
    peri_runtime_publish(rt, fleet);
    rt->workers = peri_calloc(workers, sizeof(struct peri_worker *));
    if (rt->workers == NULL) {
        err = PERI_ENOMEM;
        goto fail;
    }
    for (; rt->worker_count < workers; rt->worker_count++) {
        err = peri_worker_new(&rt->workers[rt->worker_count], rt, rt->worker_count, fault);
        if (err != PERI_OK) goto fail;
    }
    if ((err = peri_runtime_reload_policies(rt, NULL, fault)) != PERI_OK) goto fail;
    *out = rt;
    return PERI_OK;
fail:
    if (err == PERI_ENOMEM) peri_fault_set(fault, err, "out of memory");
    peri_runtime_free(rt);
    return err;
}

void peri_runtime_free(struct peri_runtime *rt) {
    if (rt == NULL) return;
    peri_control_free(rt->control); /* first: it posts to workers */
    rt->control = NULL;
    unsigned count = rt->worker_count;
    rt->worker_count = 0; /* so do slots that are released now: nobody is woken any more */
    for (unsigned i = 0; i < count; i++) peri_worker_free(rt->workers[i]);
    peri_free(rt->workers);
    if (rt->program != NULL) rt->policies.drop(rt->policies.arg, rt->program);
    peri_fleet_unref(rt->fleet);
    peri_vitals_table_free(rt->vitals);
    peri_config_unref(rt->config);
    if (rt->log_fd >= 0) peri_logs_done(&rt->logs);
    if (rt->owns_log_fd) close(rt->log_fd);
    pthread_mutex_destroy(&rt->lock);
    peri_free(rt);
}

static void *run_worker(void *arg) {
    struct peri_worker *w = arg;
    peri_loop_run(w->env.loop);
    pthread_mutex_lock(&w->runtime->lock);
    w->has_ended = true;
    pthread_mutex_unlock(&w->runtime->lock);
    peri_loop_step(w->env.loop,
                   false); /* what was posted before that: somebody may be waiting for it */
    atomic_fetch_sub(&w->runtime->running, 1);
    return NULL;
}

enum peri_err peri_runtime_start(struct peri_runtime *rt, struct peri_fault *fault) {
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct peri_worker *w = rt->workers[i];
        enum peri_err err = peri_worker_listen(w, fault);
        if (err != PERI_OK) return err;
        atomic_fetch_add(&rt->running, 1);
        w->has_thread = true;
        if (pthread_create(&w->thread, NULL, run_worker, w) != 0) {
            w->has_thread = false;
            atomic_fetch_sub(&rt->running, 1);
            return peri_fault_set(fault, PERI_EIO, "a worker thread could not be started");
        }
    }
    return peri_control_start(rt->control, fault);
}

/* ---- Networks ---- */

enum peri_err peri_runtime_reconfigure(struct peri_runtime *rt, struct peri_config *config,
                                       struct peri_fault *fault) {
    struct peri_control *control;
    struct peri_fleet *fleet, *whole;
    struct peri_fault ignored;
    enum peri_err err = peri_control_new(&control, rt, config, fault);
    if (err != PERI_OK) return err;
    err = peri_control_fleet(control, &fleet, fault);
    if (err != PERI_OK) {
        peri_control_free(control);
        return err;
    }
    pthread_mutex_lock(&rt->lock);
    struct peri_control *old = rt->control;
    rt->control = control;
    pthread_mutex_unlock(&rt->lock);
    /* Its thread is joined: nobody publishes an older fleet after this. */
    if (peri_control_take_over(control, old) &&
        peri_control_fleet(control, &whole, &ignored) == PERI_OK) {
        peri_fleet_unref(fleet);
        fleet = whole;
    }
    peri_control_free(old);
    peri_runtime_publish(rt, fleet);
    return peri_control_start(control, fault);
}

enum peri_err peri_runtime_open(struct peri_runtime *rt, struct peri_fault *fault) {
    enum peri_err err = peri_worker_listen(rt->workers[0], fault);
    if (err != PERI_OK || rt->world.loop != NULL || !peri_control_is_needed(rt->control))
        return err;
    /* It was made for a thread of its own: until now nobody knew who turns the worker. */
    rt->world.loop = rt->workers[0]->env.loop;
    return peri_runtime_reconfigure(rt, rt->config, fault);
}

enum peri_err peri_runtime_refresh_networks(struct peri_runtime *rt) {
    pthread_mutex_lock(&rt->lock); /* so that it is not freed meanwhile */
    enum peri_err err = rt->control == NULL ? PERI_ESTOPPING : peri_control_refresh(rt->control);
    pthread_mutex_unlock(&rt->lock);
    return err;
}

void peri_runtime_post_reports(struct peri_runtime *rt, struct peri_network_reports *reports) {
    for (unsigned i = 0; i < rt->worker_count; i++)
        peri_network_inbox_put(&rt->workers[i]->reports, reports);
}

struct epoch_news {
    struct peri_worker *worker;
    struct peri_arena arena;
    struct peri_epoch_change change;
};

static void run_epoch_hook(void *arg) {
    struct epoch_news *news = arg;
    struct peri_policy *policy = news->worker->env.policy;
    if (policy != NULL && policy->ops->epoch != NULL)
        policy->ops->epoch(policy->self, &news->change);
    peri_arena_done(&news->arena);
    peri_free(news);
}

/* In the arena; without memory there are fewer. */
static size_t copy_list(struct peri_arena *a, const struct peri_str **out,
                        const struct peri_str *from, size_t count) {
    struct peri_str *list = peri_arena_alloc(a, (count + 1) * sizeof *list);
    size_t n = 0;
    *out = list;
    for (size_t i = 0; list != NULL && i < count; i++) {
        list[n] = peri_arena_dup(a, from[i]);
        if (list[n].p != NULL) n++;
    }
    return n;
}

void peri_runtime_tell_epoch(struct peri_runtime *rt, const struct peri_epoch_change *change) {
    struct epoch_news *news = peri_calloc(1, sizeof *news);
    if (news == NULL) return;
    news->worker = rt->workers[0];
    peri_arena_init(&news->arena, 0);
    struct peri_epoch_change *c = &news->change;
    *c = *change;
    c->size = sizeof *c;
    c->network = peri_arena_dup(&news->arena, change->network);
    c->added_count = copy_list(&news->arena, &c->added, change->added, change->added_count);
    c->removed_count = copy_list(&news->arena, &c->removed, change->removed, change->removed_count);
    c->changed_count = copy_list(&news->arena, &c->changed, change->changed, change->changed_count);
    if (peri_loop_post(news->worker->env.loop, run_epoch_hook, news) == PERI_OK) return;
    peri_arena_done(&news->arena);
    peri_free(news);
}

static void drain(void *arg) { peri_worker_drain(arg); }

void peri_runtime_stop(struct peri_runtime *rt) {
    if (atomic_exchange(&rt->is_stopping, true)) return;
    for (unsigned i = 0; i < rt->worker_count; i++) {
        enum peri_err err = peri_loop_post(rt->workers[i]->env.loop, drain, rt->workers[i]);
        (void)err; /* out of memory while stopping: the process is about to go anyway */
    }
}

void peri_runtime_join(struct peri_runtime *rt) {
    for (unsigned i = 0; i < rt->worker_count; i++) {
        struct peri_worker *w = rt->workers[i];
        if (!w->has_thread) continue;
        pthread_join(w->thread, NULL);
        w->has_thread = false;
    }
}
