#include "base/json_edit.h"

#include "base/json_text.h"
#include "base/rand.h"
#include "base/test.h"

static struct peri_json *parse(struct peri_str text) {
    struct peri_json *j = NULL;
    struct peri_fault fault = { 0 };
    if (peri_json_parse(&j, text, NULL, &fault) != PERI_OK) {
        fprintf(stderr, "%.*s: %s\n", PERI_STR_ARGS(text), fault.text);
        abort();
    }
    return j;
}

/* Follow "a.0.b" from the root. */
static uint32_t walk(struct peri_json *j, const char *path) {
    struct peri_str rest = peri_str_of(path), step;
    uint32_t node = peri_json_root(j);
    while (peri_str_cut(&step, &rest, '.')) {
        uint64_t index;
        if (peri_json_kind(j, node) == PERI_JSON_ARRAY && peri_str_to_u64(&index, step) == PERI_OK)
            node = peri_json_at(j, node, index);
        else
            node = peri_json_get(j, node, step);
    }
    return node;
}

/* One edit a line: "set PATH NAME JSON", "unset PATH NAME", "insert PATH INDEX JSON", "replace PATH JSON",
 * "remove PATH"; PATH "-" is the root. */
static enum peri_err apply(struct peri_json *j, struct peri_str edit) {
    struct peri_str verb, path_word, arg;
    char path[64] = "";
    peri_str_cut(&verb, &edit, ' ');
    peri_str_cut(&path_word, &edit, ' ');
    if (path_word.p[0] != '-') snprintf(path, sizeof path, "%.*s", PERI_STR_ARGS(path_word));
    uint32_t node = walk(j, path);
    if (peri_str_eq(verb, PERI_STR("replace"))) return peri_json_replace(j, node, edit, NULL);
    if (peri_str_eq(verb, PERI_STR("remove"))) return peri_json_remove(j, node);
    peri_str_cut(&arg, &edit, ' ');
    if (peri_str_eq(verb, PERI_STR("set"))) return peri_json_set(j, node, arg, edit, NULL);
    if (peri_str_eq(verb, PERI_STR("unset"))) return peri_json_unset(j, node, arg);
    uint64_t index = 0;
    CHECK_EQ(peri_str_to_u64(&index, arg), PERI_OK);
    return peri_json_insert(j, node, index, edit, NULL);
}

static void check_text(struct peri_json *j, const char *want) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK_STR(peri_json_text(j, &b), want);
    peri_buf_done(&b);
}

TEST(json_edit_changes_only_what_it_must) {
    static const struct {
        const char *before, *edits, *after;
    } cases[] = {
        /* replacing keeps the place and the space around it */
        { "{ \"a\" : 1 , \"b\":2 }", "set - a 10", "{ \"a\" : 10 , \"b\":2 }" },
        { "{\"a\":1.50,\"b\":1e3}", "set - b [ ]", "{\"a\":1.50,\"b\":[ ]}" },
        { "[1, [] , {}]", "replace 0 \"x\"", "[\"x\", [] , {}]" },
        { " 1 ", "replace - {}", " {} " },
        { " {\"a\":1}\n", "replace - 2\nreplace - [3]\ninsert - 0 4", " [4,3]\n" },
        /* adding */
        { "{}", "set - a 1", "{\"a\":1}" },
        { "{ }", "set - a 1", "{ \"a\":1 }" },
        { "{\"a\":1}", "set - b 2\nset - c 3", "{\"a\":1,\"b\":2,\"c\":3}" },
        { "{\n  \"a\": 1\n}", "set - b 2", "{\n  \"a\": 1,\"b\":2\n}" },
        { "[]", "insert - 0 1\ninsert - 0 2\ninsert - 9 3", "[2,1,3]" },
        { "[ 1, 2 ]", "insert - 0 0", "[ 0,1, 2 ]" },
        { "[ 1, 2 ]", "insert - 1 0", "[ 1,0, 2 ]" },
        { "[ 1, 2 ]", "insert - 2 0", "[ 1, 2,0 ]" },
        { "{\"a\":{}}", "set a b {\"c\":[]}\ninsert a.b.c 0 7\nset a d null",
          "{\"a\":{\"b\":{\"c\":[7]},\"d\":null}}" },
        /* taking away: first, last, between, neighbours, all */
        { "{\"a\":1,\"b\":2,\"c\":3}", "unset - a", "{\"b\":2,\"c\":3}" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "unset - b", "{\"a\":1,\"c\":3}" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "unset - c", "{\"a\":1,\"b\":2}" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "unset - a\nunset - b", "{\"c\":3}" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "unset - b\nunset - c", "{\"a\":1}" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "unset - a\nunset - c", "{\"b\":2}" },
        { "{ \"a\":1 , \"b\":2 }", "unset - a\nunset - b", "{}" },
        { "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", "unset - a",
          "{\n  \"b\": 2,\n  \"c\": 3\n}" },
        { "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", "unset - c",
          "{\n  \"a\": 1,\n  \"b\": 2\n}" },
        { "{\"a\": 1, \"b\": 2}", "unset - a", "{\"b\": 2}" },
        { "{\"a\": 1, \"b\": 2}", "unset - a\nset - c 3\nset - a 4", "{\"b\": 2,\"c\":3,\"a\":4}" },
        { "[1, 2, 3]", "remove 0\nremove 0", "[3]" },
        { "[1, 2, 3]", "remove 2\nremove 0\nremove 0", "[]" },
        { "[ 1 , 2 , 3 ]", "remove 1", "[ 1 , 3 ]" },
        { "[ ]", "insert - 0 1\nremove 0", "[ ]" },
        { "{\"a\":{\"x\":1,\"y\":[1,2]},\"b\":0}", "remove a.y.0\nunset a x",
          "{\"a\":{\"y\":[2]},\"b\":0}" },
        { "{\"a\":1}", "unset - b", "{\"a\":1}" },
        /* again and again in one place */
        { "{\"a\":[1]}", "set - a 2\nset - a {\"b\":1}\nset a b 3\nset - a []\ninsert a 0 4",
          "{\"a\":[4]}" },
        /* equal names: the last counts, setting and removing leaves one or none */
        { "{\"a\":1,\"b\":2,\"\\u0061\":3}", "set - a 4", "{\"b\":2,\"\\u0061\":4}" },
        { "{\"a\":1,\"b\":2,\"\\u0061\":3}", "unset - a", "{\"b\":2}" },
        { "{\"a\":1,\"a\":2}", "remove a", "{\"a\":1}" },
        /* what is added is trimmed, its inside is not */
        { "[0]", "replace 0  { \"x\" : 1 } ", "[{ \"x\" : 1 }]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peri_json *j = parse(peri_str_of(cases[i].before));
        struct peri_str edits = peri_str_of(cases[i].edits), edit;
        while (peri_str_cut(&edit, &edits, '\n')) CHECK_EQ(apply(j, edit), PERI_OK);
        check_text(j, cases[i].after);
        peri_json_free(j);
    }
}

TEST(json_edit_gives_the_original_bytes_when_nothing_was_edited) {
    static const char text[] = " { \"a\" : [ ] } ";
    struct peri_json *j = parse(peri_str_of(text));
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK(peri_json_text(j, &b).p == text);
    CHECK_EQ(b.cap, 0);
    CHECK(!peri_json_is_edited(j));
    CHECK_EQ(peri_json_unset(j, 0, PERI_STR("none")), PERI_OK);
    CHECK(!peri_json_is_edited(j));
    peri_json_free(j);
}

TEST(json_edit_reads_back_what_was_set) {
    struct peri_json *j =
        parse(PERI_STR("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"));
    struct peri_arena a;
    peri_arena_init(&a, 0);
    uint32_t root = peri_json_root(j), messages = walk(j, "messages");
    CHECK_EQ(peri_json_insert(j, messages, 0,
                              PERI_STR("{\"role\":\"system\",\"content\":\"a\\nb\"}"), NULL),
             PERI_OK);
    CHECK_EQ(peri_json_count(j, messages), 2);
    CHECK_STR(peri_json_string(j, walk(j, "messages.0.content"), &a), "a\nb");
    CHECK_STR(peri_json_string(j, walk(j, "messages.1.content"), &a), "hi");
    CHECK_EQ(peri_json_parent(j, peri_json_at(j, messages, 0)), messages);
    CHECK_EQ(peri_json_set_string(j, root, PERI_STR("mod\"el"), PERI_STR("\xc3\xa9\t\"")), PERI_OK);
    CHECK(peri_json_string_is(j, walk(j, "mod\"el"), PERI_STR("\xc3\xa9\t\"")));
    CHECK_EQ(peri_json_set_int(j, root, PERI_STR("n"), INT64_MIN), PERI_OK);
    int64_t n;
    CHECK_EQ(peri_json_int(&n, j, walk(j, "n")), PERI_OK);
    CHECK(n == INT64_MIN);
    CHECK_EQ(peri_json_count(j, root), 3);
    CHECK(peri_json_raw(j, root).p == NULL); /* edited inside: no single range of bytes */
    CHECK_STR(peri_json_raw(j, walk(j, "messages.1")), "{\"role\":\"user\",\"content\":\"hi\"}");
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK_EQ(peri_json_add_node(&b, j, messages), PERI_OK);
    CHECK_STR(
        peri_buf_str(&b),
        "[{\"role\":\"system\",\"content\":\"a\\nb\"},{\"role\":\"user\",\"content\":\"hi\"}]");
    check_text(j, "{\"messages\":[{\"role\":\"system\",\"content\":\"a\\nb\"},{\"role\":\"user\","
                  "\"content\":\"hi\"}],"
                  "\"mod\\\"el\":\"\xc3\xa9\\t\\\"\",\"n\":-9223372036854775808}");
    peri_buf_done(&b);
    peri_arena_done(&a);
    peri_json_free(j);
}

TEST(json_edit_ends_what_it_replaces_and_all_below) {
    struct peri_json *j = parse(PERI_STR("{\"a\":{\"b\":[1,2]},\"c\":3}"));
    uint32_t b = walk(j, "a.b");
    CHECK_EQ(peri_json_insert(j, b, 1, PERI_STR("{\"new\":9}"), NULL), PERI_OK);
    uint32_t added = walk(j, "a.b.1.new"), one = walk(j, "a.b.0"), c = walk(j, "c");
    CHECK(peri_json_is_live(j, added));
    CHECK_EQ(peri_json_set(j, peri_json_root(j), PERI_STR("a"), PERI_STR("0"), NULL), PERI_OK);
    CHECK(!peri_json_is_live(j, b) && !peri_json_is_live(j, added) && !peri_json_is_live(j, one));
    CHECK(peri_json_is_live(j, c));
    CHECK_EQ(peri_json_insert(j, b, 0, PERI_STR("1"), NULL), PERI_ENOTFOUND);
    CHECK_EQ(peri_json_replace(j, added, PERI_STR("1"), NULL), PERI_ENOTFOUND);
    CHECK_EQ(peri_json_remove(j, one), PERI_ENOTFOUND);
    CHECK_EQ(peri_json_set(j, PERI_JSON_NONE, PERI_STR("a"), PERI_STR("1"), NULL), PERI_ENOTFOUND);
    CHECK_EQ(peri_json_unset(j, b, PERI_STR("x")), PERI_ENOTFOUND);
    CHECK_EQ(peri_json_remove(j, peri_json_root(j)), PERI_EINVAL);
    CHECK_EQ(peri_json_set(j, c, PERI_STR("a"), PERI_STR("1"), NULL), PERI_EINVAL);
    CHECK_EQ(peri_json_insert(j, peri_json_root(j), 0, PERI_STR("1"), NULL), PERI_EINVAL);
    CHECK_EQ(peri_json_replace(j, peri_json_root(j), PERI_STR("5"), NULL), PERI_OK);
    CHECK(!peri_json_is_live(j, c));
    check_text(j, "5");
    peri_json_free(j);
}

TEST(json_edit_refuses_what_is_not_json_and_changes_nothing) {
    static const char text[] = "{\"a\":[1]}";
    struct peri_json *j = parse(peri_str_of(text));
    struct peri_fault fault;
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("b"), PERI_STR("{\"x\":}"), &fault), PERI_EMALFORMED);
    CHECK_STR(peri_str_of(fault.text), "line 1, column 6, byte 5: expected a value");
    CHECK_EQ(peri_json_insert(j, walk(j, "a"), 0, PERI_STR("1,2"), NULL), PERI_EMALFORMED);
    CHECK_EQ(peri_json_replace(j, walk(j, "a"), PERI_STR(""), NULL), PERI_EMALFORMED);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("b"), PERI_STR("\"\xff\""), NULL), PERI_EMALFORMED);
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK(peri_json_text(j, &b).p == text);
    peri_json_free(j);
    peri_buf_done(&b);
}

TEST(json_edit_keeps_the_limits_of_the_document) {
    const struct peri_json_options options = { .depth = 4, .nodes = 12, .edit_bytes = 200000 };
    struct peri_json *j = NULL;
    CHECK_EQ(peri_json_parse(&j, PERI_STR("{\"a\":{\"b\":[]}}"), &options, NULL), PERI_OK);
    CHECK_EQ(peri_json_insert(j, walk(j, "a.b"), 0, PERI_STR("[[]]"), NULL), PERI_ETOOBIG);
    CHECK_EQ(peri_json_insert(j, walk(j, "a.b"), 0, PERI_STR("[1]"), NULL), PERI_OK);
    CHECK_EQ(peri_json_insert(j, walk(j, "a.b.0"), 0, PERI_STR("[]"), NULL), PERI_ETOOBIG);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("x"), PERI_STR("[1,2,3,4,5]"), NULL), PERI_ETOOBIG);
    char *large = malloc(300001);
    memset(large, '1', 300000);
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("a"), (struct peri_str){ large, 300000 }, NULL),
             PERI_ETOOBIG);
    free(large);
    check_text(j, "{\"a\":{\"b\":[[1]]}}");
    enum peri_err err = PERI_OK;
    for (int i = 0; i < 100 && err == PERI_OK; i++)
        err = peri_json_set(j, 0, PERI_STR("a"), PERI_STR("1"), NULL);
    CHECK_EQ(err, PERI_ETOOBIG); /* every edit takes nodes, those it replaces are not reused */
    peri_json_free(j);
}

TEST(json_edit_lets_an_iteration_go_on) {
    struct peri_json *j = parse(PERI_STR("{\"a\":1,\"b\":2,\"c\":3,\"d\":4}"));
    struct peri_json_iter it = peri_json_iter(j, 0);
    int64_t seen = 0, n;
    while (peri_json_next(j, &it)) {
        CHECK_EQ(peri_json_int(&n, j, it.value), PERI_OK);
        seen = seen * 10 + n;
        if (n == 2) CHECK_EQ(peri_json_remove(j, it.value), PERI_OK);
        if (n == 3) CHECK_EQ(peri_json_replace(j, it.value, PERI_STR("30"), NULL), PERI_OK);
    }
    CHECK_EQ(seen, 1234);
    it = peri_json_iter(j, 0);
    while (peri_json_next(j, &it)) CHECK_EQ(peri_json_remove(j, it.value), PERI_OK);
    check_text(j, "{}");
    peri_json_free(j);
}

TEST(json_edit_of_a_fork_leaves_the_first_alone) {
    struct peri_json *j = parse(PERI_STR("{\"model\":\"a\",\"n\":[1, 2]}")), *f = NULL;
    CHECK_EQ(peri_json_set(j, 0, PERI_STR("x"), PERI_STR("[9]"), NULL), PERI_OK);
    CHECK_EQ(peri_json_fork(&f, j), PERI_OK);
    check_text(f, "{\"model\":\"a\",\"n\":[1, 2],\"x\":[9]}");
    CHECK_EQ(peri_json_set_string(f, 0, PERI_STR("model"), PERI_STR("b")), PERI_OK);
    CHECK_EQ(peri_json_remove(f, walk(f, "n.0")), PERI_OK);
    CHECK_EQ(peri_json_insert(f, walk(f, "x"), 0, PERI_STR("8"), NULL), PERI_OK);
    CHECK_EQ(peri_json_set_string(j, 0, PERI_STR("model"), PERI_STR("c")), PERI_OK);
    check_text(f, "{\"model\":\"b\",\"n\":[2],\"x\":[8,9]}");
    check_text(j, "{\"model\":\"c\",\"n\":[1, 2],\"x\":[9]}");
    peri_json_free(f);
    peri_json_free(j);
}

TEST(json_edit_forks_whatever_was_edited_or_fails_cleanly) {
    static const char *const edits[] = { "replace - [1]", "set - a 1",
                                         "remove n.0\nunset - model" };
    int failed = 0;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct peri_json *j = parse(PERI_STR("{\"model\":\"a\",\"n\":[1, 2]}"));
        struct peri_str all = peri_str_of(edits[i]), edit;
        while (peri_str_cut(&edit, &all, '\n')) CHECK_EQ(apply(j, edit), PERI_OK);
        TEST_EACH_FAILING_ALLOCATION {
            struct peri_json *f = NULL;
            enum peri_err err = peri_json_fork(&f, j);
            CHECK_EQ(err, f == NULL ? PERI_ENOMEM : PERI_OK);
            failed += err != PERI_OK;
            long fail_from = test_fail_from;
            test_fail_from = -1;
            if (f != NULL) CHECK(peri_json_equal(j, peri_json_root(j), f, peri_json_root(f)));
            peri_json_free(f);
            test_fail_from = fail_from;
        }
        peri_json_free(j);
    }
    CHECK(failed >= 9);
}

/* A long conversation: one edit in the middle moves the bytes behind it and changes none. */
TEST(json_edit_of_a_long_conversation_is_local) {
    struct peri_buf b, out;
    peri_buf_init(&b, 0);
    peri_buf_init(&out, 0);
    peri_buf_add(&b, PERI_STR("{\"model\": \"m\", \"messages\": [\n"));
    for (int i = 0; b.n < 10 << 20; i++) {
        peri_buf_addf(&b, "%s{ \"role\":\"%s\" ,\"content\":\"%d \\u00e9 ", i > 0 ? ",\n" : "",
                      i % 2 == 0 ? "user" : "assistant", i);
        for (int k = 0; k < 40; k++) peri_buf_add(&b, PERI_STR("words and caf\xc3\xa9s, "));
        peri_buf_add(&b, PERI_STR("\", \"n\":1.0e0}"));
    }
    peri_buf_add(&b, PERI_STR("\n], \"tools\": [ ], \"big\": 123456789012345678901234567890 }"));
    struct peri_str text = peri_buf_str(&b);
    struct peri_json *j = parse(text);
    uint32_t messages = walk(j, "messages"), message = peri_json_at(j, messages, 6000);
    size_t at = (size_t)(peri_json_raw(j, peri_json_get(j, message, PERI_STR("n"))).p - text.p);
    CHECK_EQ(peri_json_set_int(j, message, PERI_STR("n"), 22), PERI_OK);
    struct peri_str edited = peri_json_text(j, &out);
    CHECK_EQ(edited.n, text.n - 3);
    CHECK(memcmp(edited.p, text.p, at) == 0);
    CHECK(memcmp(edited.p + at, "22", 2) == 0);
    CHECK(memcmp(edited.p + at + 2, text.p + at + 5, text.n - at - 5) == 0);
    /* and one message out of it */
    size_t count = peri_json_count(j, messages);
    struct peri_str gone = peri_json_raw(j, peri_json_at(j, messages, 3));
    CHECK_EQ(peri_json_set_string(j, message, PERI_STR("n"), PERI_STR("x")), PERI_OK);
    CHECK_EQ(peri_json_set(j, message, PERI_STR("n"), PERI_STR("1.0e0"), NULL), PERI_OK);
    CHECK_EQ(peri_json_remove(j, peri_json_at(j, messages, 3)), PERI_OK);
    CHECK_EQ(peri_json_count(j, messages), count - 1);
    edited = peri_json_text(j, &out);
    size_t before = (size_t)(gone.p - text.p) - 1, hole = gone.n + 2; /* with ",\n" */
    CHECK_EQ(edited.n, text.n - hole);
    CHECK(memcmp(edited.p, text.p, before) == 0);
    CHECK(memcmp(edited.p + before, text.p + before + hole, text.n - before - hole) == 0);
    peri_json_free(j);
    peri_buf_done(&b);
    peri_buf_done(&out);
}

/* The naive model: a tree of tokens, edited in the obvious way. */
struct tree {
    char *token; /* scalars: the raw text */
    char bracket;
    int count;
    char *names[64];
    struct tree *kids[64];
};

static char *own(struct peri_str s) {
    char *p = malloc(s.n + 1);
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

static void tree_free(struct tree *t) {
    for (int i = 0; i < t->count; i++) {
        free(t->names[i]);
        tree_free(t->kids[i]);
    }
    free(t->token);
    free(t);
}

static struct tree *tree_of(struct peri_json *j, uint32_t node) {
    struct tree *t = calloc(1, sizeof *t);
    struct peri_str raw = peri_json_raw(j, node);
    if (raw.p[0] != '{' && raw.p[0] != '[') {
        t->token = own(raw);
        return t;
    }
    t->bracket = raw.p[0];
    struct peri_json_iter it = peri_json_iter(j, node);
    while (peri_json_next(j, &it)) {
        t->names[t->count] = it.name == PERI_JSON_NONE ? NULL : own(peri_json_raw(j, it.name));
        t->kids[t->count++] = tree_of(j, it.value);
    }
    return t;
}

static void tree_write(struct peri_buf *b, const struct tree *t) {
    if (t->token != NULL) {
        peri_buf_add(b, peri_str_of(t->token));
        return;
    }
    peri_buf_add_char(b, t->bracket);
    for (int i = 0; i < t->count; i++) {
        if (i > 0) peri_buf_add_char(b, ',');
        if (t->names[i] != NULL) peri_buf_addf(b, "%s:", t->names[i]);
        tree_write(b, t->kids[i]);
    }
    peri_buf_add_char(b, t->bracket == '{' ? '}' : ']');
}

static void tree_drop(struct tree *t, int at) {
    free(t->names[at]);
    tree_free(t->kids[at]);
    t->count--;
    for (int i = at; i < t->count; i++) {
        t->names[i] = t->names[i + 1];
        t->kids[i] = t->kids[i + 1];
    }
}

static void without_space(struct peri_buf *b, struct peri_str text) {
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string && c == '\\') {
            peri_buf_add_char(b, c);
            c = text.p[++i];
        } else if (c == '"') {
            in_string = !in_string;
        }
        if (in_string || strchr(" \n\r\t", c) == NULL) peri_buf_add_char(b, c);
    }
}

static void random_space(struct peri_rand *r, struct peri_buf *b) {
    while (peri_rand_below(r, 3) == 0) peri_buf_add_char(b, " \n\r\t"[peri_rand_below(r, 4)]);
}

static void random_json(struct peri_rand *r, struct peri_buf *b, int depth) {
    static const char *const scalars[] = { "0",    "-1.50",          "1e5",        "true", "null",
                                           "\"\"", "\"a \\n[,]{}\"", "\"\\u00e9\"" };
    uint64_t pick = peri_rand_below(r, depth <= 0 ? 8 : 14);
    if (pick < 8) {
        peri_buf_add(b, peri_str_of(scalars[pick]));
        return;
    }
    bool is_object = pick % 2 == 0;
    uint64_t count = peri_rand_below(r, 5);
    peri_buf_add_char(b, is_object ? '{' : '[');
    random_space(r, b);
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) peri_buf_add_char(b, ',');
        random_space(r, b);
        if (is_object) {
            peri_buf_addf(b, peri_rand_below(r, 6) == 0 ? "\"\\u006%d\"" : "\"k%d\"",
                          (int)peri_rand_below(r, 6));
            random_space(r, b);
            peri_buf_add_char(b, ':');
            random_space(r, b);
        }
        random_json(r, b, depth - 1);
        random_space(r, b);
    }
    peri_buf_add_char(b, is_object ? '}' : ']');
}

/* A random place in both: same steps in the document and in the tree. */
static uint32_t random_place(struct peri_rand *r, struct peri_json *j, struct tree *t,
                             struct tree **place, struct tree **above, int *at) {
    uint32_t node = peri_json_root(j);
    *above = NULL;
    *at = 0;
    while (t->count > 0 && peri_rand_below(r, 3) != 0) {
        *at = (int)peri_rand_below(r, (uint64_t)t->count);
        *above = t;
        struct peri_json_iter it = peri_json_iter(j, node);
        for (int i = 0; i <= *at; i++) CHECK(peri_json_next(j, &it));
        node = it.value;
        t = t->kids[*at];
    }
    *place = t;
    return node;
}

static void tree_set(struct tree *t, const char *quoted, const char *plain, struct tree *value) {
    int place = -1;
    for (int i = t->count - 1; i >= 0; i--) {
        struct peri_json *name = parse(peri_str_of(t->names[i]));
        bool is_it = peri_json_string_is(name, 0, peri_str_of(plain));
        peri_json_free(name);
        if (!is_it) continue;
        if (place >= 0 || value == NULL) {
            tree_drop(t, i);
            place--;
        } else {
            tree_free(t->kids[i]);
            t->kids[place = i] = value;
        }
    }
    if (place >= 0 || value == NULL) return;
    t->names[t->count] = own(peri_str_of(quoted));
    t->kids[t->count++] = value;
}

static void random_edit(struct peri_rand *r, struct peri_json *j, struct tree **root) {
    struct tree *t, *above;
    int at;
    uint32_t node = random_place(r, j, *root, &t, &above, &at);
    struct peri_buf b;
    peri_buf_init(&b, 0);
    random_json(r, &b, 2);
    struct peri_str json = peri_buf_str(&b);
    struct peri_json *piece = parse(json);
    struct tree *value = tree_of(piece, 0);
    peri_json_free(piece);
    char plain[8], quoted[16];
    snprintf(plain, sizeof plain, "k%d", (int)peri_rand_below(r, 6));
    if (peri_rand_below(r, 4) == 0)
        snprintf(plain, sizeof plain, "%c", '`' + (int)peri_rand_below(r, 6));
    snprintf(quoted, sizeof quoted, "\"%s\"", plain);
    uint64_t what = peri_rand_below(r, 4);
    if (what == 0 && above != NULL) {
        CHECK_EQ(peri_json_remove(j, node), PERI_OK);
        tree_drop(above, at);
    } else if (what == 1) {
        CHECK_EQ(peri_json_replace(j, node, json, NULL), PERI_OK);
        *(above == NULL ? root : &above->kids[at]) = value;
        tree_free(t);
        value = NULL;
    } else if (t->bracket == '{' && t->count < 60) {
        bool is_unset = what == 2;
        CHECK_EQ(is_unset ? peri_json_unset(j, node, peri_str_of(plain))
                          : peri_json_set(j, node, peri_str_of(plain), json, NULL),
                 PERI_OK);
        tree_set(t, quoted, plain, is_unset ? NULL : value);
        if (!is_unset) value = NULL;
    } else if (t->bracket == '[' && t->count < 60) {
        int place = (int)peri_rand_below(r, (uint64_t)t->count + 1);
        CHECK_EQ(peri_json_insert(j, node, (size_t)place, json, NULL), PERI_OK);
        for (int i = t->count++; i > place; i--) t->kids[i] = t->kids[i - 1];
        t->kids[place] = value;
        value = NULL;
    }
    if (value != NULL) tree_free(value);
    peri_buf_done(&b);
}

TEST(json_edit_agrees_with_a_naive_model) {
    struct peri_rand r;
    peri_rand_seed(&r, 20240607);
    for (int round = 0; round < 3000; round++) {
        struct peri_buf text, out, got, want;
        peri_buf_init(&text, 0);
        peri_buf_init(&out, 0);
        peri_buf_init(&got, 0);
        peri_buf_init(&want, 0);
        random_json(&r, &text, 4);
        struct peri_json *j = parse(peri_buf_str(&text));
        struct tree *t = tree_of(j, peri_json_root(j));
        for (int i = 0; i < 12; i++) {
            random_edit(&r, j, &t);
            struct peri_str now = peri_json_text(j, &out);
            struct peri_json *again = parse(now); /* always valid */
            CHECK(peri_json_equal(j, peri_json_root(j), again, peri_json_root(again)));
            peri_json_free(again);
            peri_buf_clear(&got);
            peri_buf_clear(&want);
            without_space(&got, now);
            tree_write(&want, t);
            peri_buf_add_char(&want, '\0');
            want.n--;
            CHECK_STR(peri_buf_str(&got), want.p);
        }
        tree_free(t);
        peri_json_free(j);
        peri_buf_done(&text);
        peri_buf_done(&out);
        peri_buf_done(&got);
        peri_buf_done(&want);
    }
}

TEST(json_edit_happens_completely_or_not_at_all) {
    static const char *const edits[] = {
        "set 1 c [1]",     "insert 1.a 1 {\"x\":1}",
        "unset 1 b",       "insert 0 0 [0,0,0,0,0,0,0,0,0,0,0,0,0]",
        "replace 1.a.0 7", "set 1.a.1 y 2",
        "remove 1.a.0",    "replace 1 []"
    };
    static const char *const after[] = {
        "{ \"a\" : [ 1 , 2 ] , \"b\" : { } }",
        "{ \"a\" : [ 1 , 2 ] , \"b\" : { },\"c\":[1] }",
        "{ \"a\" : [ 1 ,{\"x\":1}, 2 ] , \"b\" : { },\"c\":[1] }",
        "{ \"a\" : [ 1 ,{\"x\":1}, 2 ] ,\"c\":[1] }",
        "{ \"a\" : [ 1 ,{\"x\":1}, 2 ] ,\"c\":[1] }",
        "{ \"a\" : [ 7 ,{\"x\":1}, 2 ] ,\"c\":[1] }",
        "{ \"a\" : [ 7 ,{\"x\":1,\"y\":2}, 2 ] ,\"c\":[1] }",
        "{ \"a\" : [ {\"x\":1,\"y\":2}, 2 ] ,\"c\":[1] }",
        "[]",
    };
    enum { EDITS = sizeof edits / sizeof edits[0] };
    /* a list long enough for several blocks of memory, and the document proper */
    struct peri_buf text, now;
    peri_buf_init(&text, 0);
    peri_buf_init(&now, 0);
    peri_buf_add(&text, PERI_STR("[[0"));
    for (int i = 1; i < 1000; i++) peri_buf_add(&text, PERI_STR(",0"));
    peri_buf_addf(&text, "], %s]", after[0]);
    int failed = 0;
    TEST_EACH_FAILING_ALLOCATION {
        long fail_from = test_fail_from;
        test_fail_from = -1;
        struct peri_json *j = parse(peri_buf_str(&text));
        test_fail_from = fail_from;
        size_t done = 0;
        while (done < EDITS && apply(j, peri_str_of(edits[done])) == PERI_OK) done++;
        test_fail_from = -1;
        failed += done < EDITS;
        CHECK_EQ(peri_json_count(j, walk(j, "0")), done > 3 ? 1001 : 1000);
        peri_buf_clear(&now);
        CHECK_EQ(peri_json_add_node(&now, j, walk(j, "1")), PERI_OK);
        CHECK_STR(peri_buf_str(&now), after[done]);
        peri_json_free(j);
        test_fail_from = fail_from;
    }
    CHECK(failed >= 3);
    peri_buf_done(&text);
    peri_buf_done(&now);
}
