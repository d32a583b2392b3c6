#include "gonka/gonka_skew.h"

#include "gonka/chain/gonka_json.h"

#define SECOND_NS      INT64_C(1000000000)
#define EXPIRATION_S   60 /* mainnet's parameters */
#define ADVANCE_S      30
#define ADVANCE_BARE_S 10 /* of hosts whose chain says 0 */
#define STATUS_BYTES   (1u << 20)
#define WINDOW_MOST_S  86400

int64_t peri_gonka_skew_safe_ns(int64_t expiration_s, int64_t advance_s) {
    bool is_told = expiration_s > 0;
    int64_t behind = is_told ? expiration_s : EXPIRATION_S;
    int64_t ahead = advance_s > 0 ? advance_s : is_told ? ADVANCE_BARE_S : ADVANCE_S;
    int64_t least = behind < ahead ? behind : ahead;
    return (least < WINDOW_MOST_S ? least : WINDOW_MOST_S) * SECOND_NS / 3;
}

int64_t peri_gonka_skew_of(int64_t told_ns, int64_t sent_ns, int64_t received_ns, int64_t safe_ns) {
    int64_t low = told_ns - received_ns, high = told_ns + SECOND_NS - sent_ns;
    if (low <= safe_ns && high >= -safe_ns) return 0;
    return low + (high - low) / 2;
}

bool peri_gonka_block_time(int64_t *out_ns, struct peri_str text) {
    struct peri_json *j;
    const struct peri_json_options options = { .depth = 16, .bytes = STATUS_BYTES };
    struct peri_comet_time time;
    if (peri_json_parse(&j, text, &options, NULL) != PERI_OK) return false;
    uint32_t result = PERI_GONKA_GET(j, peri_json_root(j), "result");
    uint32_t info = PERI_GONKA_GET(j, result, "sync_info");
    bool is_told = peri_gonka_time(&time, j, PERI_GONKA_GET(j, info, "latest_block_time")) &&
                   time.seconds > 0 && time.seconds <= PERI_GONKA_TIME_MAX_S &&
                   !peri_json_is_true(j, PERI_GONKA_GET(j, info, "catching_up"));
    if (is_told) *out_ns = time.seconds * SECOND_NS + time.nanos;
    peri_json_free(j);
    return is_told;
}

static int64_t monotonic_ns(const struct peri_clock *clock) {
    return (int64_t)peri_clock_monotonic_ns(clock);
}

void peri_gonka_skew_set(struct peri_gonka_skew *s, const struct peri_clock *clock,
                         int64_t offset_ns) {
    int64_t ahead = (int64_t)peri_clock_wall_ns(clock) + offset_ns - monotonic_ns(clock);
    atomic_store_explicit(&s->ahead_ns, offset_ns == 0 ? 0 : ahead, memory_order_relaxed);
}

uint64_t peri_gonka_skew_now_ns(const struct peri_gonka_skew *s, const struct peri_clock *clock) {
    int64_t ahead = atomic_load_explicit(&s->ahead_ns, memory_order_relaxed);
    return ahead == 0 ? peri_clock_wall_ns(clock) : (uint64_t)(monotonic_ns(clock) + ahead);
}

int64_t peri_gonka_skew_applied(const struct peri_gonka_skew *s, const struct peri_clock *clock) {
    int64_t ahead = atomic_load_explicit(&s->ahead_ns, memory_order_relaxed);
    return ahead == 0 ? 0 : monotonic_ns(clock) + ahead - (int64_t)peri_clock_wall_ns(clock);
}
