/* The built-in route: what policies/weighted.lua and policies/fallback.lua say in Lua.
 *
 * Draw among the admissible, try, and on a failure that another provider may not share draw again without it.
 * When only slots are missing the request waits in line, first come first served, until one is released or its
 * time in the queue is over.
 */
#include "core/attempt.h"
#include "core/health.h"

static void step(struct peri_request *r);

static void on_tried(void *arg, struct peri_attempt *a, enum peri_err err) {
    struct peri_request *r = arg;
    if (err == PERI_OK)
        peri_request_serve(r, a);
    else
        step(r);
}

/* gives false when nobody could be asked and the request is not over: it may wait. */
static bool try_one(struct peri_request *r, struct peri_route_report *report) {
    struct peri_request_env *env = r->env;
    for (;;) {
        struct peri_candidate pick =
            peri_route_pick(peri_request_fit(r), r->tried, r->config->overflow,
                            peri_loop_now_ms(env->loop), &env->rand, report);
        if (pick.provider == NULL) return false;
        struct peri_attempt *a;
        enum peri_err err = peri_attempt_start(&a, r, pick, NULL, on_tried, r);
        if (err == PERI_OK) return true;
        if (r->phase == PERI_ENDED) return true;
        if (err == PERI_ENOMEM) {
            peri_request_fail(r, err, 503, NULL, "out of memory");
            return true;
        }
        if (err == PERI_ETOOBIG) {
            peri_request_fail(r, err, 500, "request_memory",
                              "policies took more for this request than 'limits.request_memory' "
                              "allows");
            return true;
        }
        if (err == PERI_EPOLICY) {
            peri_request_refuse(r);
            return true;
        }
        /* Another worker took the last slot, or a hook refused: whatever it was, not this one again, unless
         * only its slot is missing. */
        if (err != PERI_EFULL && err != PERI_ENOPROVIDER) r->tried[pick.provider->index] = true;
    }
}

bool peri_route_has_room(const struct peri_request *r) {
    return r->env->queued < r->config->queue_max && !r->env->is_draining;
}

/* gives false when it is not over for r: only slots are missing, and there is room to wait for one. */
static bool settle(struct peri_request *r) {
    struct peri_route_report report = { 0 };
    if (try_one(r, &report)) return true;
    if (report.full > 0 && (r->is_queued || peri_route_has_room(r))) return false;
    peri_request_give_up(r, &report);
    return true;
}

void peri_route_enqueue(struct peri_request *r, uint64_t ms) {
    struct peri_request_env *env = r->env;
    r->is_queued = true;
    peri_list_insert(&env->queue, &r->queue_link);
    env->queued++;
    atomic_fetch_add(env->waiting, 1);
    peri_timer_start(&r->queue_timer, ms);
}

void peri_route_unqueue(struct peri_request *r) {
    if (!r->is_queued) return;
    r->is_queued = false;
    peri_list_remove(&r->queue_link);
    r->env->queued--;
    atomic_fetch_sub(r->env->waiting, 1);
    peri_timer_stop(&r->queue_timer);
}

static void step(struct peri_request *r) {
    bool is_final =
        r->last != NULL && !r->last->is_refused && !peri_health_is_retryable(r->last->err);
    if (is_final || r->attempt_count >= r->config->max_attempts) {
        peri_request_give_up(r, NULL);
        return;
    }
    if (settle(r)) return;
    peri_route_enqueue(r, r->config->queue_ms);
    /* A slot that another worker released after we looked, and before we were counted as waiting, woke nobody. */
    if (settle(r)) peri_route_unqueue(r);
}

void peri_route_default(struct peri_request *r) {
    if (r->phase != PERI_DECIDING) return;
    step(r);
}

/* Whoever still finds no slot keeps its place and its deadline. */
void peri_route_wake(struct peri_request_env *env) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &env->queue) {
        struct peri_request *r = peri_list_entry(at, struct peri_request, queue_link);
        if (r->is_undiscovered)
            peri_request_discover(r);
        else if (settle(r))
            peri_route_unqueue(r);
    }
}
