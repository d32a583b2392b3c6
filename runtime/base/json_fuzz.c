/* Parse, navigate, edit, write, parse again.
 *
 * The input is JSON text, a NUL, and bytes that drive edits. What one scanner accepts the other must; what was
 * edited must parse again, and mean the same as the document it was written from. */
#include "base/json_edit.h"
#include "base/json_text.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct driver {
    const uint8_t *p, *end;
};

static unsigned next(struct driver *d, unsigned bound) {
    if (d->p >= d->end || bound == 0) return 0;
    return *d->p++ % bound;
}

static void read_all(struct peri_json *j, uint32_t node, struct peri_arena *a) {
    int64_t integer;
    double number;
    if (peri_json_int(&integer, j, node) == PERI_OK &&
        peri_json_double(&number, j, node) != PERI_OK)
        peri_bug("an integer is a number");
    struct peri_str text = peri_json_string(j, node, a);
    if (text.p != NULL && !peri_json_string_is(j, node, text)) peri_bug("a string is its own text");
    struct peri_json_iter it = peri_json_iter(j, node);
    size_t count = 0;
    while (peri_json_next(j, &it)) {
        if (peri_json_parent(j, it.value) != node) peri_bug("a child knows its parent");
        read_all(j, it.value, a);
        count++;
    }
    if (count != peri_json_count(j, node)) peri_bug("children are counted");
}

static uint32_t place(struct driver *d, struct peri_json *j) {
    uint32_t node = peri_json_root(j);
    for (unsigned depth = next(d, 6); depth > 0; depth--) {
        size_t count = peri_json_count(j, node);
        struct peri_json_iter it = peri_json_iter(j, node);
        for (unsigned i = next(d, count > 250 ? 250 : (unsigned)count) + 1; i > 0 && count > 0; i--)
            if (!peri_json_next(j, &it)) peri_bug("as many children as counted");
        if (count == 0) break;
        node = it.value;
    }
    return node;
}

static void edit(struct driver *d, struct peri_json *j) {
    static const struct peri_str values[] = {
        PERI_STR_INIT("1"),     PERI_STR_INIT(" [ ] "), PERI_STR_INIT("{\"a\":[1,{}]}"),
        PERI_STR_INIT("\"x\""), PERI_STR_INIT("[1,2"),  PERI_STR_INIT("null")
    };
    static const struct peri_str names[] = { PERI_STR_INIT("a"), PERI_STR_INIT("b"),
                                             PERI_STR_INIT(""), PERI_STR_INIT("\"\\") };
    uint32_t node = place(d, j);
    struct peri_str value = values[next(d, 6)], name = names[next(d, 4)];
    enum peri_err err;
    switch (next(d, 5)) {
    case 0: err = peri_json_set(j, node, name, value, NULL); break;
    case 1: err = peri_json_unset(j, node, name); break;
    case 2: err = peri_json_insert(j, node, next(d, 8), value, NULL); break;
    case 3: err = peri_json_replace(j, node, value, NULL); break;
    default: err = peri_json_remove(j, node); break;
    }
    if (err != PERI_OK && err != PERI_EINVAL && err != PERI_EMALFORMED && err != PERI_ETOOBIG)
        peri_bug("an edit of a live node works or is refused");
}

static void check_text(struct peri_json *j) {
    struct peri_buf b;
    struct peri_json *again = NULL;
    const struct peri_json_options options = { .lenient_utf8 = true };
    peri_buf_init(&b, 0);
    struct peri_str text = peri_json_text(j, &b);
    if (peri_json_parse(&again, text, &options, NULL) != PERI_OK)
        peri_bug("what was edited parses again");
    if (!peri_json_equal(j, peri_json_root(j), again, peri_json_root(again)))
        peri_bug("what was written means the same");
    peri_json_free(again);
    peri_buf_done(&b);
}

/* Edits taken back leave what was there before them. */
static void try_rollback(struct driver *d, struct peri_json *j) {
    struct peri_buf before, after;
    peri_buf_init(&before, 0);
    peri_buf_init(&after, 0);
    struct peri_json_mark mark = peri_json_mark(j);
    struct peri_str text = peri_json_text(j, &before);
    for (unsigned edits = next(d, 8); edits > 0; edits--) edit(d, j);
    peri_json_rollback(j, mark);
    if (!peri_str_eq(text, peri_json_text(j, &after))) peri_bug("a rollback gives the text back");
    peri_buf_done(&before);
    peri_buf_done(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const struct peri_json_path path = { 2, { PERI_STR_INIT("a"), PERI_JSON_ELEMENT(0) } };
    static const struct peri_str routed = PERI_STR_INIT("model");
    const uint8_t *nul = n > 0 ? memchr(data, 0, n) : NULL;
    size_t length = nul == NULL ? n : (size_t)(nul - data);
    struct driver d = { nul == NULL ? data + n : nul + 1, data + n };
    struct peri_str text = { (const char *)data, length }, found;
    unsigned bits = next(&d, 8);
    const struct peri_json_options options = { .lenient_utf8 = bits & 1,
                                               .keeps_text = bits & 2,
                                               .routed = &routed,
                                               .routed_count = bits >> 2 };
    struct peri_json *j = NULL, *fork = NULL;
    struct peri_fault fault;
    enum peri_err err = peri_json_parse(&j, text, &options, &fault);
    enum peri_err by_scan = peri_json_scan(&found, text, &path, 1, NULL);
    if (err != by_scan && err != PERI_EEXIST && !options.lenient_utf8)
        peri_bug("both scanners agree");
    if (err != PERI_OK) return 0;

    struct peri_arena a;
    peri_arena_init(&a, 0);
    read_all(j, peri_json_root(j), &a);
    uint32_t first = peri_json_at(j, peri_json_get(j, peri_json_root(j), PERI_STR("a")), 0);
    if (by_scan == PERI_OK && !peri_str_eq(found, peri_json_raw(j, first)))
        peri_bug("both scanners find the same");
    for (int edits = 0; d.p < d.end && edits < 64; edits++) {
        if (next(&d, 6) == 0) try_rollback(&d, j);
        edit(&d, j);
        if (edits == 5 && peri_json_fork(&fork, j) != PERI_OK) peri_bug("memory");
    }
    read_all(j, peri_json_root(j), &a);
    check_text(j);
    if (fork != NULL) {
        edit(&d, fork);
        check_text(fork);
    }
    peri_json_free(fork);
    peri_json_free(j);
    peri_arena_done(&a);
    return 0;
}
