#include "request/queue.h"

#include "request/admission.h"

static void on_overdue(void *arg) {
    struct peri_request *r = arg;
    struct peri_route_report report;
    if (r->is_undiscovered) {
        peri_request_give_up_undiscovered(r);
        return;
    }
    peri_request_pick(r, r->tried, false, &report);
    peri_request_give_up(r, &report);
}

void peri_queue_init(struct peri_request *r) {
    peri_list_init(&r->queue_link);
    peri_timer_init(&r->queue_timer, r->env->loop, on_overdue, r);
}

bool peri_queue_has_room(const struct peri_request *r) {
    return r->env->queued < r->config->queue_max && !r->env->is_draining;
}

void peri_queue_add(struct peri_request *r, uint64_t ms) {
    struct peri_request_env *env = r->env;
    r->is_queued = true;
    peri_list_insert(&env->queue, &r->queue_link);
    env->queued++;
    atomic_fetch_add(env->waiting, 1);
    peri_timer_start(&r->queue_timer, ms);
}

void peri_queue_remove(struct peri_request *r) {
    if (!r->is_queued) return;
    r->is_queued = false;
    peri_list_remove(&r->queue_link);
    r->env->queued--;
    atomic_fetch_sub(r->env->waiting, 1);
    peri_timer_stop(&r->queue_timer);
}

/* A request that still finds no slot keeps its place and its deadline. */
void peri_queue_wake(struct peri_request_env *env) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &env->queue) {
        struct peri_request *r = peri_list_entry(at, struct peri_request, queue_link);
        if (r->is_undiscovered)
            peri_request_discover(r);
        else if (peri_route_retry(r))
            peri_queue_remove(r);
    }
}
