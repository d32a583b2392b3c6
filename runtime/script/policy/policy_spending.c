/* CPU time that one policy uses over many entries: for one request, and in one second of its worker. An entry's own
 * budget bounds neither: four hundred events of 40 ms are sixteen seconds in which no other client is answered. Each
 * policy is accounted for itself, so the others of the chain go on. */
#include "base/err.h"
#include "script/policy/policy_parts.h"

#define MS_NS     1000000u
#define SECOND_NS 1000000000u

/* Milliseconds that so many bytes add to an entry. */
static uint32_t of_bytes(const struct peri_policy_lua *set, uint64_t bytes) {
    uint64_t ms = bytes * set->spending.mib_ms >> 20;
    return ms < UINT32_MAX / 2 ? (uint32_t)ms : UINT32_MAX / 2;
}

uint32_t peri_policy_more_ms(const struct peri_policy_lua *set, const struct peri_lua_request *r,
                             size_t bytes) {
    return of_bytes(set, r->body_bytes + bytes);
}

/* What all entries for one request may use. */
static uint64_t request_ns(const struct peri_policy_lua *set, const struct peri_lua_request *r) {
    const struct peri_policy_limits *s = &set->spending;
    uint64_t entry = s->entry_ms + peri_policy_more_ms(set, r, 0);
    return (s->request_ms * entry / s->entry_ms + r->events) * MS_NS;
}

bool peri_policy_is_out(const struct peri_policy_lua *set, size_t link,
                        const struct peri_lua_request *r) {
    if (r != NULL && (r->out & peri_link_bit(link)) != 0) return true;
    uint64_t until = set->links[link].out_until_ns;
    if (r != NULL && r->use != NULL && r->use[link].out_until_ns > until)
        until = r->use[link].out_until_ns;
    return until != 0 && peri_loop_now_ns(set->worker->env.loop) < until;
}

/* It is said, and fails the hook. */
static bool leave_out(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                      struct peri_lua_request *r, uint64_t spent_ns, const char *where,
                      const char *option) {
    struct peri_fault fault;
    peri_fault_set(&fault, PERI_EBUDGET, "left out %s: it used %llu ms (%s)", where,
                   (unsigned long long)(spent_ns / MS_NS), option);
    return peri_policy_failed(set, link, hook, r == NULL ? NULL : r->request, &fault);
}

/* The second begins with the first entry after the one before. What a body adds to an entry is not counted: it is
 * bounded by the body. One request may use half of it: a provider whose stream makes a policy work takes that policy from
 * nobody else. */
static bool spend_second(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                         struct peri_lua_request *r, uint64_t spent) {
    struct peri_link *l = &set->links[link];
    struct peri_link_use *use = r == NULL || r->use == NULL ? NULL : &r->use[link];
    uint64_t now = peri_loop_now_ns(set->worker->env.loop), most = set->spending.second_ms * MS_NS;
    uint64_t free_ns = r == NULL ? 0 : (uint64_t)peri_policy_more_ms(set, r, 0) * MS_NS;
    uint64_t counted = spent > free_ns ? spent - free_ns : 0;
    if (now - l->second_ns >= SECOND_NS || l->second_ns == 0) {
        l->second_ns = now;
        l->second_spent_ns = 0;
    }
    l->second_spent_ns += counted;
    if (use != NULL && use->second_ns != l->second_ns) {
        use->second_ns = l->second_ns;
        use->second_spent_ns = 0;
    }
    if (use != NULL) use->second_spent_ns += counted;
    if (l->out_until_ns > now) return true;
    if (l->second_spent_ns > most) {
        l->out_until_ns = l->second_ns + SECOND_NS;
        return leave_out(set, link, hook, r, l->second_spent_ns, "for the rest of the second",
                         "policy.second_budget");
    }
    if (use == NULL || use->second_spent_ns <= most / 2 || use->out_until_ns > now) return true;
    use->out_until_ns = l->second_ns + SECOND_NS;
    return leave_out(set, link, hook, r, use->second_spent_ns,
                     "of this request for the rest of the second", "half of policy.second_budget");
}

bool peri_policy_spend(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                       struct peri_lua_request *r, uint64_t spent) {
    if (r == NULL) return spend_second(set, link, hook, NULL, spent);
    if (r->use == NULL)
        r->use = set->count == 1
                     ? &r->use_alone
                     : peri_arena_zalloc(&r->request->arena, set->count * sizeof *r->use);
    if (!spend_second(set, link, hook, r, spent)) return false;
    if (r->use == NULL) return true; /* out of memory: the second holds */
    uint64_t *all = &r->use[link].spent_ns;
    *all += spent;
    if (*all <= set->spending.request_ms * MS_NS) return true; /* what it is at least */
    if ((r->out & peri_link_bit(link)) != 0 || *all <= request_ns(set, r)) return true;
    r->out |= peri_link_bit(link);
    return leave_out(set, link, hook, r, *all, "for the rest of the request",
                     "policy.request_budget");
}

/* ---- Hooks that wait: by the entries of their task ---- */

struct peri_allowance peri_policy_allow(void *host, void *arg) {
    struct peri_policy_lua *set = host;
    struct peri_lua_request *r = arg;
    struct peri_allowance a = { peri_policy_more_ms(set, r, 0), UINT32_MAX };
    if (r->use == NULL) return a;
    uint64_t limit = request_ns(set, r), spent = r->use[r->link].spent_ns;
    if (spent >= limit || (r->out & peri_link_bit(r->link)) != 0)
        a.left_ms = 0;
    else if (peri_policy_is_out(set, r->link, r)) /* of this second */
        a.left_ms = 1;                            /* what it waited for may be all */
    else
        a.left_ms = (uint32_t)((limit - spent + MS_NS - 1) / MS_NS);
    return a;
}

void peri_policy_next_budget(struct peri_lua_request *r, lua_State *L) {
    struct peri_state *s = r->set->state;
    peri_budget_leave(&s->budget);
    peri_task_allow(s, r);
    peri_budget_enter(&s->budget, L);
    s->is_over_cap = false;
    r->settled_ns = 0;
}

bool peri_policy_spend_entry(struct peri_lua_request *r) {
    struct peri_policy_lua *set = r->set;
    uint64_t spent = peri_budget_spent_ns(&set->state->budget), since = spent - r->settled_ns;
    r->settled_ns = spent;
    return peri_policy_spend(set, r->link, r->hook, r, since);
}

void peri_policy_settle_entry(void *host, void *arg, uint64_t spent_ns) {
    struct peri_lua_request *r = arg;
    uint64_t since = spent_ns - r->settled_ns;
    r->settled_ns = 0;
    peri_policy_spend(host, r->link, r->hook, r, since);
}
