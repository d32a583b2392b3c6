#include "fleet/breaker.h"

#define DOUBLINGS_MAX       3
#define EARLY_MS            1000 /* the first pause; each next one is twice as long */
#define EARLY_DOUBLINGS_MAX 5

bool peri_breaker_admits(const struct peri_breaker *b, uint64_t now_ms, uint64_t *wait_ms) {
    int state = atomic_load_explicit(&b->state, memory_order_relaxed);
    if (wait_ms != NULL) *wait_ms = 0;
    if (state == PERI_BREAKER_CLOSED) return true;
    uint64_t until = atomic_load_explicit(&b->until_ms, memory_order_relaxed);
    if (state == PERI_BREAKER_OPEN && until <= now_ms) return true;
    if (wait_ms != NULL) *wait_ms = until > now_ms ? until - now_ms : 1000;
    return false;
}

bool peri_breaker_forbids(const struct peri_breaker *b, uint64_t now_ms) {
    int state = atomic_load(&b->state);
    if (state == PERI_BREAKER_CLOSED) return false;
    if (state == PERI_BREAKER_HELD) return true;
    if (!atomic_load(&b->is_told) || atomic_load(&b->until_ms) <= now_ms) return false;
    return state == PERI_BREAKER_HALF_OPEN || now_ms < atomic_load(&b->early_ms);
}

enum peri_breaker_pass peri_breaker_enter(struct peri_breaker *b, uint64_t now_ms, bool is_last) {
    int state = atomic_load_explicit(&b->state, memory_order_relaxed);
    if (state == PERI_BREAKER_CLOSED) return PERI_BREAKER_PASSED;
    bool is_due = atomic_load(&b->until_ms) <= now_ms;
    if (is_last && peri_breaker_forbids(b, now_ms)) return PERI_BREAKER_REFUSED;
    if (state == PERI_BREAKER_OPEN && (is_due || is_last)) {
        if (atomic_compare_exchange_strong(&b->state, &state, PERI_BREAKER_HALF_OPEN))
            return PERI_BREAKER_TRIAL;
        if (state == PERI_BREAKER_CLOSED) return PERI_BREAKER_PASSED;
    }
    bool may_pass = is_last && !peri_breaker_forbids(b, now_ms);
    return may_pass ? PERI_BREAKER_PASSED : PERI_BREAKER_REFUSED;
}

/* ---- The window: 32 bits of seconds, 16 of good results, 16 of bad ones. A lost update costs one sample. ---- */

#define GOOD UINT64_C(0x10000)
#define BAD  UINT64_C(1)

static uint64_t count_result(struct peri_breaker *b, uint64_t now_ms, uint64_t window_ms,
                             uint64_t unit) {
    uint64_t seen = atomic_load_explicit(&b->window, memory_order_relaxed);
    uint64_t now_s = now_ms / 1000 & UINT32_MAX;
    bool is_full = (seen & 0xFFFF) == 0xFFFF || (seen >> 16 & 0xFFFF) == 0xFFFF;
    if (is_full || now_s - (seen >> 32) > window_ms / 1000) seen = now_s << 32;
    seen += unit;
    atomic_store_explicit(&b->window, seen, memory_order_relaxed);
    return seen;
}

static bool is_over_ratio(struct peri_breaker *b, const struct peri_breaker_rule *rule,
                          uint64_t now_ms) {
    if (rule->percent == 0) return false;
    uint64_t seen = count_result(b, now_ms, rule->window_ms, BAD);
    uint64_t bad = seen & 0xFFFF, all = bad + (seen >> 16 & 0xFFFF);
    return all >= PERI_BREAKER_RESULTS_MIN && bad * 100 >= all * rule->percent;
}

/* ---- Results ---- */

static bool close_from(struct peri_breaker *b, int state) {
    if (!atomic_compare_exchange_strong(&b->state, &state, PERI_BREAKER_CLOSED)) return false;
    atomic_store(&b->trips, 0);
    atomic_store(&b->pauses, 0);
    atomic_store(&b->early_ms, 0);
    atomic_store(&b->window, 0);
    return true;
}

bool peri_breaker_succeed(struct peri_breaker *b, const struct peri_breaker_rule *rule,
                          uint64_t now_ms, bool is_trial) {
    if (atomic_load_explicit(&b->streak, memory_order_relaxed) != 0) atomic_store(&b->streak, 0);
    if (rule->percent > 0) count_result(b, now_ms, rule->window_ms, GOOD);
    if (atomic_load_explicit(&b->state, memory_order_relaxed) == PERI_BREAKER_CLOSED) return false;
    return close_from(b, PERI_BREAKER_HALF_OPEN) || (is_trial && close_from(b, PERI_BREAKER_OPEN));
}

static uint64_t double_it(uint64_t ms, unsigned times, unsigned most) {
    return ms << (times < most ? times : most);
}

bool peri_breaker_open(struct peri_breaker *b, const struct peri_breaker_failure *f,
                       uint64_t rest_ms) {
    if (f->is_trial) atomic_fetch_add(&b->trips, 1);
    uint64_t ms = f->told_ms != 0 ? f->told_ms : rest_ms;
    uint_fast64_t until = f->now_ms + ms, old = atomic_load(&b->until_ms);
    while (old < until && !atomic_compare_exchange_weak(&b->until_ms, &old, until)) {}
    if (old < until) {
        atomic_store(&b->reason, (int)f->reason);
        atomic_store(&b->status, f->status);
        atomic_store(&b->is_told, f->told_ms != 0);
    }
    int state = atomic_load(&b->state);
    do {
        if (state == PERI_BREAKER_HELD) return false;
    } while (!atomic_compare_exchange_weak(&b->state, &state, PERI_BREAKER_OPEN));
    if (state != PERI_BREAKER_CLOSED) return false;
    atomic_store(&b->since_ms, f->now_ms);
    atomic_fetch_add(&b->opened, 1);
    return true;
}

bool peri_breaker_fail(struct peri_breaker *b, const struct peri_breaker_rule *rule,
                       const struct peri_breaker_failure *f) {
    unsigned streak = atomic_fetch_add(&b->streak, 1) + 1;
    bool is_bad = is_over_ratio(b, rule, f->now_ms) || streak >= rule->failures;
    int state = atomic_load(&b->state);
    /* A request that began before the rest did says nothing new. */
    if (state != PERI_BREAKER_CLOSED && !f->is_trial && f->told_ms == 0) return false;
    if (!is_bad && !f->is_trial && f->told_ms == 0) return false;
    /* Only failed trials make the next rest longer, this one among them. */
    unsigned trips = atomic_load(&b->trips) + f->is_trial;
    return peri_breaker_open(b, f, double_it(rule->rest_ms, trips, DOUBLINGS_MAX));
}

void peri_breaker_pause(struct peri_breaker *b, uint64_t now_ms) {
    unsigned pauses = atomic_fetch_add(&b->pauses, 1);
    atomic_store(&b->early_ms, now_ms + double_it(EARLY_MS, pauses, EARLY_DOUBLINGS_MAX));
}

void peri_breaker_cancel(struct peri_breaker *b) {
    int half = PERI_BREAKER_HALF_OPEN;
    atomic_compare_exchange_strong(&b->state, &half, PERI_BREAKER_OPEN);
}

static void clear_failures(struct peri_breaker *b) {
    atomic_store(&b->streak, 0);
    atomic_store(&b->trips, 0);
    atomic_store(&b->until_ms, 0);
    atomic_store(&b->pauses, 0);
    atomic_store(&b->early_ms, 0);
    atomic_store(&b->window, 0);
}

void peri_breaker_reset(struct peri_breaker *b) {
    int state = atomic_load(&b->state);
    clear_failures(b);
    while (state != PERI_BREAKER_HELD &&
           !atomic_compare_exchange_weak(&b->state, &state, PERI_BREAKER_CLOSED)) {}
}

void peri_breaker_hold(struct peri_breaker *b, bool is_held) {
    int held = PERI_BREAKER_HELD;
    if (is_held) {
        atomic_store(&b->state, PERI_BREAKER_HELD);
        return;
    }
    clear_failures(b);
    atomic_compare_exchange_strong(&b->state, &held, PERI_BREAKER_CLOSED);
}
