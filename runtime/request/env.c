#include "request/env.h"

#include "base/mem.h"
#include "request/attempt.h"

#define SPARE_MAX (PERI_KEEPS_MEMORY * 256) /* blank requests kept, with their first arena block */

void peri_request_env_init(struct peri_request_env *env) {
    peri_list_init(&env->requests);
    peri_list_init(&env->ended);
    peri_list_init(&env->over);
    peri_list_init(&env->spare_requests);
    peri_list_init(&env->queue);
}

struct peri_request *peri_request_new(struct peri_request_env *env) {
    struct peri_request *r;
    struct peri_arena arena;
    if (peri_list_is_empty(&env->spare_requests)) {
        r = peri_malloc(sizeof *r);
        if (r == NULL) return NULL;
        peri_arena_init(&arena, 0); /* its cap is set with the request's configuration */
    } else {
        r = peri_list_entry(env->spare_requests.next, struct peri_request, link);
        peri_list_remove(&r->link);
        env->spare_count--;
        arena = r->arena;
    }
    memset(r, 0, sizeof *r);
    r->arena = arena;
    r->env = env;
    peri_list_insert(&env->requests, &r->link);
    env->request_count++;
    return r;
}

void peri_request_over(struct peri_request *r) {
    struct peri_request_env *env = r->env;
    peri_list_remove(&r->link);
    peri_list_insert(&env->ended, &r->link);
    env->request_count--;
}

void peri_request_env_sweep_all(struct peri_request_env *env) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &env->ended) {
        struct peri_request *r = peri_list_entry(at, struct peri_request, link);
        peri_list_remove(&r->link);
        peri_request_free(r);
        if (env->spare_count + 1 <= SPARE_MAX) { /* none under the address sanitizer */
            peri_arena_reset(&r->arena);
            peri_list_insert(env->spare_requests.next, &r->link); /* warmest first */
            env->spare_count++;
        } else {
            peri_arena_done(&r->arena);
            peri_free(r);
        }
    }
    while (!peri_list_is_empty(&env->over))
        peri_attempt_trim(peri_list_entry(env->over.next, struct peri_attempt, over_link));
}

void peri_request_env_done(struct peri_request_env *env) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &env->requests)
        peri_request_abandon(peri_list_entry(at, struct peri_request, link), PERI_ESTOPPING);
    peri_request_env_sweep(env);
    peri_policy_unref(env->policy);
    peri_signers_done(&env->signers);
    peri_list_each(at, spare, &env->spare_requests) {
        struct peri_request *r = peri_list_entry(at, struct peri_request, link);
        peri_arena_done(&r->arena);
        peri_free(r);
    }
    peri_fleet_unref(env->fleet);
    peri_config_unref(env->config);
}
