/* Containers that are large enough for an index, or an order of their own, against plain arrays of numbers. */
#include "base/json_edit.h"
#include "base/json_text.h"
#include "base/rand.h"
#include "base/test.h"

enum { LONG = 3000 };

static struct peri_json *parse(struct peri_buf *text) {
    struct peri_json *j = NULL;
    if (peri_json_parse(&j, peri_buf_str(text), NULL, NULL) != PERI_OK) abort();
    return j;
}

/* [0,[1],2,[3],…]: containers among them, so that a step is not a cell. */
static struct peri_json *numbers(struct peri_buf *text, int count) {
    peri_buf_init(text, 0);
    peri_buf_add_char(text, '[');
    for (int i = 0; i < count; i++)
        peri_buf_addf(text, i % 2 == 0 ? "%s%d" : "%s[%d]", i == 0 ? "" : " , ", i);
    peri_buf_add_char(text, ']');
    return parse(text);
}

static int64_t number_at(struct peri_json *j, uint32_t node) {
    int64_t value = -1;
    if (peri_json_kind(j, node) == PERI_JSON_ARRAY) node = peri_json_at(j, node, 0);
    CHECK_EQ(peri_json_int(&value, j, node), PERI_OK);
    return value;
}

TEST(json_index_finds_elements_in_any_order) {
    for (int count = 60; count <= LONG; count = count * 7 / 3) {
        struct peri_buf text;
        struct peri_json *j = numbers(&text, count);
        struct peri_rand r;
        peri_rand_seed(&r, (uint64_t)count);
        for (int i = count - 1; i >= 0; i--)
            CHECK_EQ(number_at(j, peri_json_at(j, 0, (size_t)i)), i);
        for (int i = 0; i < count; i++) {
            uint64_t at = peri_rand_below(&r, (uint64_t)count);
            CHECK_EQ(number_at(j, peri_json_at(j, 0, at)), (int64_t)at);
            CHECK_EQ(peri_json_count(j, 0), count);
        }
        CHECK_EQ(peri_json_at(j, 0, (size_t)count), PERI_JSON_NONE);
        CHECK_EQ(peri_json_at(j, 0, SIZE_MAX), PERI_JSON_NONE);
        peri_json_free(j);
        peri_buf_done(&text);
    }
}

TEST(json_index_counts_as_memory_of_the_document_and_only_where_it_is_asked_for) {
    struct peri_buf text;
    struct peri_json *j = numbers(&text, LONG);
    size_t before = peri_json_memory(j);
    for (int i = 0; i < LONG; i++) CHECK_EQ(number_at(j, peri_json_at(j, 0, (size_t)i)), i);
    struct peri_json_iter it = peri_json_iter(j, 0);
    while (peri_json_next(j, &it)) CHECK(peri_json_is_live(j, it.value));
    size_t after_reading = peri_json_memory(j);
    CHECK(after_reading <= before + LONG);
    CHECK(peri_json_at(j, 0, 17) != PERI_JSON_NONE);
    CHECK(peri_json_at(j, 0, LONG - 1) != PERI_JSON_NONE);
    CHECK(peri_json_memory(j) > before);
    struct peri_json_mark mark = peri_json_mark(j);
    peri_json_rollback(j, mark);
    CHECK_EQ(peri_json_memory(j), before);
    peri_json_free(j);
    peri_buf_done(&text);
}

/* ---- names ---- */

static struct peri_str name_of(char *room, size_t n, int i) {
    return (struct peri_str){ room, (size_t)snprintf(room, n, "name%d", i) };
}

/* Names stand twice, the second time with an escape; the later value counts. */
static struct peri_json *members(struct peri_buf *text, int count) {
    peri_buf_init(text, 0);
    peri_buf_add_char(text, '{');
    for (int i = 0; i < count; i++)
        peri_buf_addf(text, "%s\"name%d\":[%d]", i == 0 ? "" : ",", i, i + 1000000);
    for (int i = 0; i < count; i++) peri_buf_addf(text, ",\"n\\u0061me%d\":%d", i, i);
    peri_buf_add_char(text, '}');
    return parse(text);
}

TEST(json_index_finds_members_by_their_last_occurrence) {
    char room[32];
    struct peri_buf text;
    struct peri_json *j = members(&text, LONG);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < LONG; i++)
            CHECK_EQ(number_at(j, peri_json_get(j, 0, name_of(room, sizeof room, i))), i);
    CHECK_EQ(peri_json_get(j, 0, PERI_STR("none")), PERI_JSON_NONE);
    CHECK_EQ(peri_json_get(j, 0, PERI_STR("")), PERI_JSON_NONE);
    peri_json_free(j);
    peri_buf_done(&text);
}

TEST(json_index_follows_edits_of_members) {
    enum { MEMBERS = 300 };
    char room[32];
    int64_t want[MEMBERS];
    struct peri_rand r;
    peri_rand_seed(&r, 7);
    for (int round = 0; round < 20; round++) {
        struct peri_buf text;
        struct peri_json *j = members(&text, MEMBERS);
        struct peri_json_mark mark = peri_json_mark(j);
        for (int i = 0; i < MEMBERS; i++) want[i] = i;
        for (int step = 0; step < 3000; step++) {
            int i = (int)peri_rand_below(&r, MEMBERS);
            struct peri_str name = name_of(room, sizeof room, i);
            uint32_t node = peri_json_get(j, 0, name);
            CHECK_EQ(node != PERI_JSON_NONE, want[i] >= 0);
            if (node != PERI_JSON_NONE) CHECK_EQ(number_at(j, node), want[i]);
            switch (peri_rand_below(&r, 4)) {
            case 0:
                CHECK_EQ(peri_json_set_int(j, 0, name, step), PERI_OK);
                want[i] = step;
                break;
            case 1:
                CHECK_EQ(peri_json_unset(j, 0, name), PERI_OK);
                want[i] = -1;
                break;
            case 2: /* the occurrence before it counts, when there is one */
                if (node == PERI_JSON_NONE) break;
                CHECK_EQ(peri_json_remove(j, node), PERI_OK);
                node = peri_json_get(j, 0, name);
                want[i] = node == PERI_JSON_NONE ? -1 : number_at(j, node);
                CHECK(want[i] < 0 || want[i] == i + 1000000);
                break;
            default: break;
            }
        }
        size_t count = 0;
        struct peri_json_iter it = peri_json_iter(j, 0);
        while (peri_json_next(j, &it)) count++;
        CHECK_EQ(peri_json_count(j, 0), count);
        peri_json_rollback(j, mark);
        for (int i = 0; i < MEMBERS; i++)
            CHECK_EQ(number_at(j, peri_json_get(j, 0, name_of(room, sizeof room, i))), i);
        CHECK_EQ(peri_json_count(j, 0), 2 * MEMBERS);
        peri_json_free(j);
        peri_buf_done(&text);
    }
}

/* ---- elements that move ---- */

struct model {
    int64_t values[2 * LONG];
    int count;
};

static void check_model(struct peri_json *j, const struct model *m) {
    struct peri_buf out;
    peri_buf_init(&out, 0);
    CHECK_EQ(peri_json_count(j, 0), m->count);
    struct peri_json_iter it = peri_json_iter(j, 0);
    for (int i = 0; i < m->count; i++) {
        CHECK(peri_json_next(j, &it));
        CHECK_EQ(number_at(j, it.value), m->values[i]);
    }
    CHECK(!peri_json_next(j, &it));
    struct peri_json *again = NULL;
    CHECK_EQ(peri_json_parse(&again, peri_json_text(j, &out), NULL, NULL), PERI_OK);
    CHECK(peri_json_equal(j, 0, again, 0));
    peri_json_free(again);
    peri_buf_done(&out);
}

static void random_edit(struct peri_rand *r, struct peri_json *j, struct model *m) {
    char room[32];
    int at = (int)peri_rand_below(r, (uint64_t)m->count), value = (int)peri_rand_below(r, 1000);
    struct peri_str json = { room, (size_t)snprintf(room, sizeof room, "[%d]", value) };
    switch (peri_rand_below(r, 3)) {
    case 0:
        if (m->count == 2 * LONG) break;
        CHECK_EQ(peri_json_insert(j, 0, (size_t)at, json, NULL), PERI_OK);
        memmove(&m->values[at + 1], &m->values[at], (size_t)(m->count++ - at) * sizeof(int64_t));
        m->values[at] = value;
        break;
    case 1:
        CHECK_EQ(peri_json_remove(j, peri_json_at(j, 0, (size_t)at)), PERI_OK);
        memmove(&m->values[at], &m->values[at + 1], (size_t)(--m->count - at) * sizeof(int64_t));
        break;
    default:
        CHECK_EQ(peri_json_replace(j, peri_json_at(j, 0, (size_t)at), json, NULL), PERI_OK);
        m->values[at] = value;
        break;
    }
}

TEST(json_index_orders_elements_that_move_and_moves_them_back) {
    static struct model now, marked;
    struct peri_rand r;
    peri_rand_seed(&r, 11);
    for (int round = 0; round < 12; round++) {
        struct peri_buf text;
        int count = round < 4 ? 200 : LONG; /* short lists get their order on the way, or never */
        struct peri_json *j = numbers(&text, count), *fork = NULL;
        now.count = count;
        for (int i = 0; i < count; i++) now.values[i] = i;
        for (int i = 0; i < 300; i++) random_edit(&r, j, &now);
        check_model(j, &now);
        struct peri_json_mark mark = peri_json_mark(j);
        marked = now;
        for (int i = 0; i < 1000; i++) random_edit(&r, j, &now);
        CHECK_EQ(peri_json_fork(&fork, j), PERI_OK);
        peri_json_rollback(j, mark);
        check_model(j, &marked);
        check_model(fork, &now);
        for (int i = 0; i < 300; i++) random_edit(&r, fork, &now);
        check_model(fork, &now);
        peri_json_free(fork);
        for (int i = 0; i < 300; i++) random_edit(&r, j, &marked);
        check_model(j, &marked);
        peri_json_free(j);
        peri_buf_done(&text);
    }
}

TEST(json_index_takes_everything_out_from_either_end) {
    for (int from_front = 0; from_front < 2; from_front++) {
        struct peri_buf text;
        struct peri_json *j = numbers(&text, LONG);
        struct peri_json_mark mark = peri_json_mark(j);
        for (int i = 0; i < LONG; i++) {
            uint32_t node = peri_json_at(j, 0, from_front ? 0 : (size_t)(LONG - 1 - i));
            CHECK_EQ(number_at(j, node), from_front ? i : LONG - 1 - i);
            CHECK_EQ(peri_json_remove(j, node), PERI_OK);
        }
        CHECK_EQ(peri_json_count(j, 0), 0);
        peri_json_rollback(j, mark);
        for (int i = 0; i < LONG; i++) CHECK_EQ(number_at(j, peri_json_at(j, 0, (size_t)i)), i);
        peri_json_free(j);
        peri_buf_done(&text);
    }
}

TEST(json_index_is_done_without_when_memory_runs_out) {
    char room[32];
    struct peri_buf text;
    struct peri_json *j = members(&text, 200);
    TEST_EACH_FAILING_ALLOCATION {
        for (int i = 0; i < 200; i += 37) {
            struct peri_str name = name_of(room, sizeof room, i);
            CHECK_EQ(number_at(j, peri_json_get(j, 0, name)), i);
            CHECK(peri_json_set(j, 0, name, name, NULL) != PERI_OK); /* no JSON */
        }
        struct peri_json_mark mark = peri_json_mark(j);
        for (int i = 0; i < 200; i += 3) {
            struct peri_str name = name_of(room, sizeof room, i);
            if (peri_json_unset(j, 0, name) != PERI_OK) continue;
            CHECK_EQ(peri_json_get(j, 0, name), PERI_JSON_NONE);
        }
        peri_json_rollback(j, mark);
        for (int i = 0; i < 200; i++)
            CHECK_EQ(number_at(j, peri_json_get(j, 0, name_of(room, sizeof room, i))), i);
    }
    peri_json_free(j);
    peri_buf_done(&text);
}
