/* The built-in route: what policies/weighted.lua and policies/fallback.lua say in Lua.
 *
 * Draw among the admissible, try, and on a failure that another provider may not share draw again without it. When nobody
 * else is left, what a moment brought is tried again where it failed (request/retry.h). When all that are left rest, the
 * ones that are due first are asked nevertheless: a rest must not make an outage of what would be one failure.
 * When only slots are missing the request waits in line, first come first served, until one is released or its
 * time in the queue is over.
 */
#include "fleet/health.h"
#include "request/attempt.h"
#include "request/queue.h"
#include "request/retry.h"

static void ask_next(struct peri_request *r);

static void on_tried(void *arg, struct peri_attempt *a, enum peri_err err) {
    struct peri_request *r = arg;
    if (err == PERI_OK)
        peri_request_serve(r, a);
    else
        ask_next(r);
}

struct peri_candidate peri_request_pick(struct peri_request *r, const bool *tried, bool may_disturb,
                                        struct peri_route_report *report) {
    struct peri_route_ask ask = {
        .from = peri_request_fit(r),
        .model = r->model,
        .endpoint = r->dialect->id,
        .tried = tried,
        .overflow = r->config->overflow,
        .may_disturb = may_disturb,
        .now_ms = peri_loop_now_ms(r->env->loop),
    };
    return peri_route_pick(&ask, &r->env->rand, report);
}

/* gives false when nobody could be asked and the request is not over: it may wait. */
static bool try_one(struct peri_request *r, bool may_disturb, struct peri_route_report *report) {
    for (;;) {
        struct peri_candidate pick = peri_request_pick(r, r->tried, may_disturb, report);
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
        if (pick.is_last || (err != PERI_EFULL && err != PERI_ENOPROVIDER))
            r->tried[pick.provider->index] = true;
    }
}

bool peri_route_retry(struct peri_request *r) {
    struct peri_route_report report = { 0 };
    if (try_one(r, false, &report)) return true;
    if (report.full > 0 && (r->is_queued || peri_queue_has_room(r))) return false;
    if (report.full == 0) {
        /* Where it failed just now is more hopeful than where others have failed for a while, but not twice. */
        if (r->retry_count == 0 && peri_retry_begin(r)) return true;
        if (try_one(r, true, &report)) return true;
        if (peri_retry_begin(r)) return true;
    }
    peri_request_give_up(r, &report);
    return true;
}

static void ask_next(struct peri_request *r) {
    bool is_final =
        r->last != NULL && r->last->refusal == NULL && !peri_health_is_retryable(r->last->err);
    if (is_final || r->attempt_count >= r->config->max_attempts) {
        peri_request_give_up(r, NULL);
        return;
    }
    if (peri_route_retry(r)) return;
    peri_queue_add(r, r->config->queue_ms);
    /* A slot that another worker released after we looked, and before we were counted as waiting, woke nobody. */
    if (peri_route_retry(r)) peri_queue_remove(r);
}

void peri_route_default(struct peri_request *r) {
    if (r->phase != PERI_DECIDING) return;
    ask_next(r);
}
