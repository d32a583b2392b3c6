#include "request/retry.h"

#include "request/attempt.h"

/* A cut, a reset or nonsense may be the moment's, and so is a provider that is being started again. One that took its time
 * is not asked to take it once more. */
static bool is_of_moment(const struct peri_attempt *a) {
    const struct peri_config_retry *c = a->candidate.provider->retry;
    int status = a->status;
    switch (a->err) {
    case PERI_ERATELIMIT:
    case PERI_EUPSTREAM: break;
    case PERI_ECONNECT:
    case PERI_ECLOSED:
    case PERI_ETRUNCATED:
    case PERI_EMALFORMED:
    case PERI_EPROTO: return true;
    default: return false;
    }
    for (size_t i = 0; i < c->status_count; i++)
        if ((int)c->statuses[i] == status) return true;
    if (c->statuses != NULL) return false;
    return status == 0 || status == 408 || status == 409 || status == 425 || status == 429 ||
           status == 200 || status >= 500;
}

static unsigned count_at(const struct peri_request *r, const struct peri_provider *p) {
    unsigned count = 0;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) {
        const struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        count += a->candidate.provider == p && a->state != PERI_ATTEMPT_UNSENT;
    }
    return count;
}

/* gives false: it may not be asked again, or not soon enough
 *   wait_ms   out: how long it rests */
static bool may_ask(const struct peri_request *r, const struct peri_attempt *a, uint64_t *wait_ms) {
    const struct peri_provider *p = a->candidate.provider;
    struct peri_rest why;
    if (a->state != PERI_ATTEMPT_OVER || a->options.model.n > 0 || !is_of_moment(a)) return false;
    if (count_at(r, p) > p->retry->attempts) return false;
    *wait_ms = 0;
    if (peri_circuit_admits(p, r->model, r->dialect->id, peri_loop_now_ms(r->env->loop), &why))
        return true;
    *wait_ms = why.wait_ms;
    return why.wait_ms <= p->retry->wait_ms;
}

/* Twice as long each time, and a part of it drawn: requests that failed together must not come again together. */
static uint64_t backoff(struct peri_request *r, const struct peri_config_retry *c) {
    uint64_t ms = c->backoff_ms << (r->retry_count < 10 ? r->retry_count : 10);
    uint64_t drawn = ms * c->jitter / 100;
    return drawn == 0 ? ms : ms - drawn + peri_rand_below(&r->env->rand, drawn + 1);
}

static void on_again(void *arg) {
    struct peri_request *r = arg;
    r->is_retrying = false;
    peri_request_wait_ends(r);
    peri_route_default(r);
}

void peri_retry_init(struct peri_request *r) {
    peri_timer_init(&r->retry_timer, r->env->loop, on_again, r);
}

bool peri_retry_begin(struct peri_request *r) {
    const struct peri_attempt *first = NULL;
    uint64_t least_ms = 0;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->attempts) {
        const struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        uint64_t wait_ms;
        if (!may_ask(r, a, &wait_ms)) continue;
        r->tried[a->candidate.provider->index] = false;
        if (first != NULL && wait_ms >= least_ms) continue;
        first = a;
        least_ms = wait_ms;
    }
    if (first == NULL) return false;
    uint64_t ms = backoff(r, first->candidate.provider->retry);
    r->retry_count++;
    r->is_retrying = true;
    peri_request_wait_begins(r);
    peri_timer_start(&r->retry_timer, ms > least_ms ? ms : least_ms);
    return true;
}

void peri_retry_cancel(struct peri_request *r) {
    if (!r->is_retrying) return;
    r->is_retrying = false;
    peri_timer_stop(&r->retry_timer);
}
