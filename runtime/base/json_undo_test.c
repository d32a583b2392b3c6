#include "base/json_edit.h"
#include "base/rand.h"
#include "base/test.h"

static struct peri_json *parse(const char *text) {
    struct peri_json *j = NULL;
    if (peri_json_parse(&j, peri_str_of(text), NULL, NULL) != PERI_OK) abort();
    return j;
}

static struct peri_str at(struct peri_json *j, const char *name) {
    return peri_json_raw(j, peri_json_get(j, peri_json_root(j), peri_str_of(name)));
}

TEST(json_undo_of_nothing_gives_the_original_bytes) {
    static const char text[] = " { \"a\" : [ 1 , { } ] } ";
    struct peri_json *j = parse(text);
    struct peri_buf b;
    peri_buf_init(&b, 0);
    size_t memory = peri_json_memory(j);
    struct peri_json_mark mark = peri_json_mark(j);
    peri_json_rollback(j, mark);
    peri_json_rollback(j, mark);
    CHECK_EQ(peri_json_memory(j), memory);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("b"), PERI_STR("[1]"), NULL), PERI_OK);
    CHECK(peri_json_is_edited(j));
    peri_json_rollback(j, mark);
    CHECK(!peri_json_is_edited(j));
    CHECK(peri_json_text(j, &b).p == text);
    CHECK_EQ(b.cap, 0);
    CHECK_STR(at(j, "a"), "[ 1 , { } ]");
    peri_json_free(j);
}

TEST(json_undo_revives_what_was_removed_and_ends_what_was_made) {
    struct peri_json *j = parse("{\"a\":[1,[2,3]],\"b\":0}");
    uint32_t a = peri_json_get(j, 0, PERI_STR("a")), inner = peri_json_at(j, a, 1);
    CHECK_EQ(peri_json_remove(j, peri_json_at(j, inner, 0)), PERI_OK);
    struct peri_json_mark mark = peri_json_mark(j);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("a"), PERI_STR("{\"x\":[]}"), NULL), PERI_OK);
    uint32_t made = peri_json_get(j, 0, PERI_STR("a"));
    CHECK(!peri_json_is_live(j, inner) && peri_json_is_live(j, made));
    peri_json_rollback(j, mark);
    CHECK(peri_json_is_live(j, inner) && !peri_json_is_live(j, made));
    CHECK_EQ(peri_json_count(j, inner), 1);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("c"), PERI_STR("{\"x\":[]}"), NULL), PERI_OK);
    CHECK(!peri_json_is_live(j, made)); /* its number is not given to another */
    peri_json_free(j);
}

TEST(json_undo_ends_a_walk_that_stands_on_what_is_no_more) {
    struct peri_json *j = parse("{\"a\":1,\"b\":2,\"c\":3}");
    struct peri_json_mark mark = peri_json_mark(j);
    static const char *const names[] = { "a", "b", "c" };
    for (size_t i = 0; i < 3; i++) CHECK_EQ(peri_json_unset(j, 0, peri_str_of(names[i])), PERI_OK);
    struct peri_json_iter nowhere = peri_json_iter(j, 0), edited = nowhere;
    CHECK(!peri_json_next(j, &nowhere));
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("d"), PERI_STR("4"), NULL), PERI_OK);
    CHECK(peri_json_next(j, &edited));
    peri_json_rollback(j, mark);
    CHECK(!peri_json_next(j, &nowhere));
    CHECK(!peri_json_next(j, &edited));
    peri_json_free(j);
}

TEST(json_undo_of_a_walk_leaves_elements_where_they_are) {
    struct peri_json *j = parse("[0,1,2,3,4,5]");
    struct peri_json_mark mark = peri_json_mark(j);
    struct peri_json_iter it = peri_json_iter(j, 0);
    CHECK_EQ(peri_json_remove(j, peri_json_at(j, 0, 0)), PERI_OK);
    CHECK(peri_json_next(j, &it) && peri_json_next(j, &it)); /* at the 2 */
    peri_json_rollback(j, mark);
    CHECK(peri_json_next(j, &it));
    CHECK_STR(peri_json_raw(j, it.value), "3");
    CHECK_STR(peri_json_raw(j, peri_json_at(j, 0, 4)), "4");
    CHECK_STR(peri_json_raw(j, peri_json_at(j, 0, 3)), "3");
    peri_json_free(j);
}

TEST(json_undo_leaves_nothing_that_a_fork_shares) {
    struct peri_json *j = parse("{\"a\":{\"x\":1},\"b\":[2]}"), *fork;
    struct peri_json_mark mark = peri_json_mark(j);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("c"), PERI_STR("3"), NULL), PERI_OK);
    peri_json_rollback(j, mark);
    CHECK_EQ(peri_json_fork(&fork, j), PERI_OK);
    uint32_t a = peri_json_get(fork, 0, PERI_STR("a")), b = peri_json_get(j, 0, PERI_STR("b"));
    CHECK_EQ(peri_json_set(fork, a, PERI_STR("y"), PERI_STR("4"), NULL), PERI_OK);
    CHECK_EQ(peri_json_insert(j, b, 0, PERI_STR("55"), NULL), PERI_OK);
    CHECK_EQ(peri_json_set(fork, a, PERI_STR("z"), PERI_STR("[6]"), NULL), PERI_OK);
    struct peri_buf text;
    peri_buf_init(&text, 0);
    CHECK_STR(peri_json_text(fork, &text), "{\"a\":{\"x\":1,\"y\":4,\"z\":[6]},\"b\":[2]}");
    CHECK_STR(peri_json_text(j, &text), "{\"a\":{\"x\":1},\"b\":[55,2]}");
    peri_buf_done(&text);
    peri_json_free(fork);
    peri_json_free(j);
}

TEST(json_undo_works_on_the_root) {
    struct peri_json *j = parse(" [1] ");
    struct peri_buf b;
    peri_buf_init(&b, 0);
    struct peri_json_mark mark = peri_json_mark(j);
    CHECK_EQ(peri_json_replace(j, 0, PERI_STR("{}"), NULL), PERI_OK);
    CHECK_EQ(peri_json_replace(j, peri_json_root(j), PERI_STR("[2,3]"), NULL), PERI_OK);
    peri_json_rollback(j, mark);
    CHECK_EQ(peri_json_root(j), 0);
    CHECK_STR(peri_json_text(j, &b), " [1] ");
    peri_buf_done(&b);
    peri_json_free(j);
}

/* ---- against forks: a fork taken at the mark says what a rollback must give ---- */

static const char *const values[] = { "1",     " [ ] ",      "{\"a\":[1,{}],\"b\":2}",
                                      "\"x\"", "[1,[2],{}]", "{\"a\":1,\"a\":{\"b\":[]}}" };
static const char *const names[] = { "a", "b", "c", "" };

static uint32_t random_node(struct peri_rand *r, struct peri_json *j) {
    uint32_t node = peri_json_root(j);
    while (peri_rand_below(r, 4) != 0) {
        size_t count = peri_json_count(j, node);
        if (count == 0) break;
        struct peri_json_iter it = peri_json_iter(j, node);
        for (uint64_t i = peri_rand_below(r, count) + 1; i > 0; i--) CHECK(peri_json_next(j, &it));
        node = it.value;
    }
    return node;
}

static void random_edit(struct peri_rand *r, struct peri_json *j) {
    uint32_t node = random_node(r, j);
    struct peri_str value = peri_str_of(values[peri_rand_below(r, 6)]),
                    name = peri_str_of(names[peri_rand_below(r, 4)]);
    enum peri_err err;
    switch (peri_rand_below(r, 6)) {
    case 0:
    case 1: err = peri_json_set(j, node, name, value, NULL); break;
    case 2: err = peri_json_unset(j, node, name); break;
    case 3: err = peri_json_insert(j, node, peri_rand_below(r, 6), value, NULL); break;
    case 4: err = peri_json_replace(j, node, value, NULL); break;
    default: err = peri_json_remove(j, node); break;
    }
    CHECK(err == PERI_OK || err == PERI_EINVAL);
}

struct savepoint {
    struct peri_json_mark mark;
    struct peri_json *fork;
};

/* Nodes above those of `then` have been made since. */
static void check_like(struct peri_json *j, const struct savepoint *then, uint32_t most) {
    struct peri_buf got, want;
    peri_buf_init(&got, 0);
    peri_buf_init(&want, 0);
    CHECK_EQ(peri_json_is_edited(j), peri_json_is_edited(then->fork));
    CHECK_EQ(peri_json_root(j), peri_json_root(then->fork));
    struct peri_str now = peri_json_text(j, &got), before = peri_json_text(then->fork, &want);
    CHECK(peri_str_eq(now, before));
    for (uint32_t node = 0; node < most; node++) {
        CHECK_EQ(peri_json_is_live(j, node), peri_json_is_live(then->fork, node));
        CHECK_EQ(peri_json_count(j, node), peri_json_count(then->fork, node));
    }
    peri_buf_done(&got);
    peri_buf_done(&want);
}

/* A fork has a future of its own: what is made of it is a document, and nothing of the original. */
static void edit_a_fork(struct peri_rand *r, const struct peri_json *j) {
    struct peri_json *fork, *again;
    struct peri_buf text;
    peri_buf_init(&text, 0);
    CHECK_EQ(peri_json_fork(&fork, j), PERI_OK);
    for (uint64_t i = 1 + peri_rand_below(r, 6); i > 0; i--) random_edit(r, fork);
    CHECK_EQ(peri_json_parse(&again, peri_json_text(fork, &text), NULL, NULL), PERI_OK);
    peri_json_free(again);
    peri_json_free(fork);
    peri_buf_done(&text);
}

TEST(json_undo_agrees_with_forks) {
    enum { DEEP = 5, NODES = 2000 };
    struct peri_rand r;
    peri_rand_seed(&r, 20261130);
    int rollbacks = 0;
    for (int round = 0; round < 1500; round++) {
        struct peri_json *j =
            parse("{ \"a\" : [ 1 , {\"b\":[ ]} , 3 ] , \"b\":{},\n\"a\":[[],0] }");
        struct savepoint open[DEEP];
        int deep = 0;
        for (int step = 0; step < 30; step++) {
            uint64_t what = peri_rand_below(&r, 9);
            if (what == 0 && deep < DEEP) {
                open[deep].mark = peri_json_mark(j);
                CHECK_EQ(peri_json_fork(&open[deep++].fork, j), PERI_OK);
            } else if (what == 1 && deep > 0) { /* the mark is simply not used */
                peri_json_free(open[--deep].fork);
            } else if (what == 2 && deep > 0) {
                int to = (int)peri_rand_below(&r, (uint64_t)deep);
                peri_json_rollback(j, open[to].mark);
                check_like(j, &open[to], NODES);
                while (deep > to + 1) peri_json_free(open[--deep].fork);
                rollbacks++;
            } else if (what == 8) {
                edit_a_fork(&r, j);
            } else {
                random_edit(&r, j);
            }
        }
        while (deep > 0) {
            peri_json_rollback(j, open[--deep].mark);
            check_like(j, &open[deep], NODES);
            peri_json_free(open[deep].fork);
        }
        peri_json_free(j);
    }
    CHECK(rollbacks > 1000);
}
