/* Are two values the same? Members are sorted by name first, so order does not matter and large objects cost n log n. */

#include "base/json.h"
#include "base/json_tape.h"
#include "base/json_text.h"
#include "base/sort.h"

struct member {
    struct peri_str name;
    uint32_t value, order;
};

struct pair {
    struct peri_json *a, *b;
    struct peri_arena *arena; /* sorted members, decoded names */
    struct peri_pace *pace;
};

static int by_name(const void *left, const void *right) {
    const struct member *a = left, *b = right;
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int order = n == 0 ? 0 : memcmp(a->name.p, b->name.p, n);
    if (order != 0) return order;
    if (a->name.n != b->name.n) return a->name.n < b->name.n ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Members by name, the last of each name only. NULL when memory ran out. */
static struct member *members_of(const struct pair *p, struct peri_json *j, uint32_t object,
                                 size_t *count) {
    size_t n = 0, room = peri_json_count(j, object);
    struct member *all = peri_arena_alloc(p->arena, (room + 1) * sizeof *all);
    struct member *spare = peri_arena_alloc(p->arena, (room + 1) * sizeof *all);
    if (all == NULL || spare == NULL) return NULL;
    struct peri_json_iter it = peri_json_iter(j, object);
    while (n < room && peri_json_next(j, &it)) {
        struct peri_str name = peri_json_string(j, it.name, p->arena);
        if (name.p == NULL) return NULL;
        all[n] = (struct member){ name, it.value, (uint32_t)n };
        n++;
        peri_pace_add(p->pace, 1 + name.n / 32);
    }
    peri_sort(all, spare, n, sizeof *all, by_name, p->pace);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && peri_str_eq(all[i].name, all[i + 1].name)) continue;
        all[(*count)++] = all[i];
    }
    return all;
}

static bool is_same(struct pair *p, uint32_t a, uint32_t b);

static bool are_same_objects(struct pair *p, uint32_t a, uint32_t b) {
    size_t n_a, n_b;
    struct member *in_a = members_of(p, p->a, a, &n_a);
    struct member *in_b = members_of(p, p->b, b, &n_b);
    if (in_a == NULL || in_b == NULL || n_a != n_b) return false;
    for (size_t i = 0; i < n_a; i++)
        if (!peri_str_eq(in_a[i].name, in_b[i].name) || !is_same(p, in_a[i].value, in_b[i].value))
            return false;
    return true;
}

static bool are_same_arrays(struct pair *p, uint32_t a, uint32_t b) {
    if (peri_json_count(p->a, a) != peri_json_count(p->b, b)) return false;
    struct peri_json_iter of_a = peri_json_iter(p->a, a), of_b = peri_json_iter(p->b, b);
    while (peri_json_next(p->a, &of_a) && peri_json_next(p->b, &of_b))
        if (!is_same(p, of_a.value, of_b.value)) return false;
    return true;
}

static bool are_same_strings(struct pair *p, uint32_t a, uint32_t b) {
    struct peri_str in_a = peri_json_string(p->a, a, p->arena);
    peri_pace_add(p->pace, in_a.n / 32);
    return in_a.p != NULL && peri_json_string_is(p->b, b, in_a);
}

static bool are_same_numbers(struct peri_str a, struct peri_str b) {
    int64_t int_a, int_b;
    double double_a, double_b;
    if (peri_str_eq(a, b)) return true;
    if (peri_json_raw_int(&int_a, a) == PERI_OK && peri_json_raw_int(&int_b, b) == PERI_OK)
        return int_a == int_b;
    /* what a double can not hold is only the same when its text is */
    return peri_json_raw_double(&double_a, a) == PERI_OK &&
           peri_json_raw_double(&double_b, b) == PERI_OK && double_a == double_b;
}

static bool is_same(struct pair *p, uint32_t a, uint32_t b) {
    enum peri_json_kind kind = peri_json_kind(p->a, a);
    if (kind != peri_json_kind(p->b, b)) return false;
    peri_pace_add(p->pace, 1);
    switch (kind) {
    case PERI_JSON_NULL: return true;
    case PERI_JSON_BOOL: return peri_json_is_true(p->a, a) == peri_json_is_true(p->b, b);
    case PERI_JSON_NUMBER: return are_same_numbers(peri_json_raw(p->a, a), peri_json_raw(p->b, b));
    case PERI_JSON_STRING: return are_same_strings(p, a, b);
    case PERI_JSON_ARRAY: return are_same_arrays(p, a, b);
    case PERI_JSON_OBJECT: return are_same_objects(p, a, b);
    }
    return false;
}

bool peri_json_equal_paced(struct peri_json *a, uint32_t in_a, struct peri_json *b, uint32_t in_b,
                           struct peri_arena *arena, struct peri_pace *pace) {
    struct pair p = { .a = a, .b = b, .arena = arena, .pace = pace };
    if (!peri_json_is_live(a, in_a) || !peri_json_is_live(b, in_b)) return false;
    return (a == b && in_a == in_b) || is_same(&p, in_a, in_b);
}

bool peri_json_equal(struct peri_json *a, uint32_t in_a, struct peri_json *b, uint32_t in_b) {
    struct peri_arena arena;
    peri_arena_init(&arena, 0);
    bool same = peri_json_equal_paced(a, in_a, b, in_b, &arena, NULL);
    peri_arena_done(&arena);
    return same;
}
