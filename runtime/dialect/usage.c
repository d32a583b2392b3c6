#include "dialect/usage.h"

#include "base/json_text.h"

#define NAME(text) PERI_STR_INIT(text)

enum { PROMPT, COMPLETION, TOTAL, CACHED, REASONING, COUNT };

static const struct peri_json_path paths[COUNT] = {
    [PROMPT] = { 1, { NAME("prompt_tokens") } },
    [COMPLETION] = { 1, { NAME("completion_tokens") } },
    [TOTAL] = { 1, { NAME("total_tokens") } },
    [CACHED] = { 2, { NAME("prompt_tokens_details"), NAME("cached_tokens") } },
    [REASONING] = { 2, { NAME("completion_tokens_details"), NAME("reasoning_tokens") } },
};

enum {
    INPUT,
    OUTPUT,
    CACHED_BESIDE,
    CACHE_HIT,
    CACHE_READ,
    INPUT_CACHED,
    REASONING_BESIDE,
    OUTPUT_REASONING,
    OTHER_COUNT
};

static const struct peri_json_path other_paths[OTHER_COUNT] = {
    [INPUT] = { 1, { NAME("input_tokens") } },
    [OUTPUT] = { 1, { NAME("output_tokens") } },
    [CACHED_BESIDE] = { 1, { NAME("cached_tokens") } },
    [CACHE_HIT] = { 1, { NAME("prompt_cache_hit_tokens") } },
    [CACHE_READ] = { 1, { NAME("cache_read_input_tokens") } },
    [INPUT_CACHED] = { 2, { NAME("input_tokens_details"), NAME("cached_tokens") } },
    [REASONING_BESIDE] = { 1, { NAME("reasoning_tokens") } },
    [OUTPUT_REASONING] = { 2, { NAME("output_tokens_details"), NAME("reasoning_tokens") } },
};

static bool is_said(struct peri_str raw) { return peri_json_raw_kind(raw) != PERI_JSON_NULL; }

/* The first of several that says something. */
static struct peri_str one_of(struct peri_str a, struct peri_str b) { return is_said(a) ? a : b; }

/* A count that may be missing: false when it is there and can not be true. Some write whole numbers with a fraction. */
static bool read_count(uint64_t *out, struct peri_str raw) {
    int64_t value = 0;
    double number;
    *out = 0;
    if (!is_said(raw)) return true;
    if (peri_json_raw_int(&value, raw) != PERI_OK) {
        if (peri_json_raw_double(&number, raw) != PERI_OK || number < 0 ||
            number > PERI_TOKENS_MAX || number != (double)(int64_t)number)
            return false;
        value = (int64_t)number;
    }
    if (value < 0 || value > PERI_TOKENS_MAX) return false;
    *out = (uint64_t)value;
    return true;
}

/* Part of a whole; what is more than that can not be true. */
static void read_part(uint64_t *part, struct peri_usage *u, struct peri_str raw, uint64_t whole) {
    if (read_count(part, raw) && *part <= whole) return;
    u->is_absurd = true;
    *part = 0;
}

#define LENGTH(text) (sizeof(text) - 1)

/* Is there room for one more name than prompt, completion and total? None is shorter than cached_tokens. */
static bool has_room_for_others(const struct peri_str found[COUNT], struct peri_str object) {
    size_t known = LENGTH("{\"prompt_tokens\":,\"completion_tokens\":}") + found[PROMPT].n +
                   found[COMPLETION].n;
    if (is_said(found[TOTAL])) known += LENGTH(",\"total_tokens\":") + found[TOTAL].n;
    return object.n >= known + LENGTH(",\"cached_tokens\":0");
}

/* Most usage has the first names alone. */
static bool has_others(const struct peri_str found[COUNT], struct peri_str object) {
    if (!is_said(found[PROMPT]) || !is_said(found[COMPLETION])) return true;
    return has_room_for_others(found, object) &&
           ((!is_said(found[CACHED]) && peri_str_find(object, PERI_STR("cache")) >= 0) ||
            (!is_said(found[REASONING]) && peri_str_find(object, PERI_STR("reasoning")) >= 0));
}

/* Other names, brought under the first ones.
 *   gives   tokens of the input that stand beside it, not among it */
static uint64_t read_others(struct peri_str found[COUNT], struct peri_str object) {
    struct peri_str other[OTHER_COUNT];
    uint64_t beside = 0;
    if (peri_json_scan(other, object, other_paths, OTHER_COUNT, NULL) != PERI_OK) return 0;
    /* Where input is named so, what was read from the cache is not among it. */
    if (!is_said(found[PROMPT]) && is_said(other[INPUT]) && !read_count(&beside, other[CACHE_READ]))
        beside = 0;
    found[PROMPT] = one_of(found[PROMPT], other[INPUT]);
    found[COMPLETION] = one_of(found[COMPLETION], other[OUTPUT]);
    struct peri_str cached = one_of(one_of(other[CACHED_BESIDE], other[CACHE_HIT]),
                                    one_of(other[CACHE_READ], other[INPUT_CACHED]));
    found[CACHED] = one_of(found[CACHED], cached);
    found[REASONING] =
        one_of(found[REASONING], one_of(other[REASONING_BESIDE], other[OUTPUT_REASONING]));
    return beside;
}

void peri_usage_read(struct peri_usage *usage, struct peri_str object) {
    struct peri_usage u = { .is_known = true };
    struct peri_str found[COUNT];
    if (peri_json_raw_kind(object) != PERI_JSON_OBJECT ||
        peri_json_scan(found, object, paths, COUNT, NULL) != PERI_OK)
        return;
    uint64_t beside_input = has_others(found, object) ? read_others(found, object) : 0;
    bool is_believable = (is_said(found[PROMPT]) || is_said(found[COMPLETION])) &&
                         read_count(&u.prompt_tokens, found[PROMPT]) &&
                         read_count(&u.completion_tokens, found[COMPLETION]);
    if (!is_believable) {
        usage->is_absurd = true;
        return;
    }
    u.is_absurd = usage->is_absurd;
    u.prompt_tokens += beside_input;
    uint64_t sum = u.prompt_tokens + u.completion_tokens, thought = 0;
    if (!read_count(&u.total_tokens, found[TOTAL]) || u.total_tokens < sum) {
        u.is_absurd = u.is_absurd || is_said(found[TOTAL]);
        u.total_tokens = sum;
    }
    bool is_beside =
        read_count(&thought, found[REASONING]) && thought > 0 && u.total_tokens == sum + thought;
    if (is_beside) u.completion_tokens += thought;
    read_part(&u.cached_tokens, &u, found[CACHED], u.prompt_tokens);
    read_part(&u.reasoning_tokens, &u, found[REASONING], u.completion_tokens);
    *usage = u;
}
