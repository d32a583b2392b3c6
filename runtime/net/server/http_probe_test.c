/* Published requests of Http11Probe that a server must refuse, and those that it must serve. Two records lost the
 * bytes they are about (non-ASCII became "?"): they are sent as they stand and with the bytes put back. Records
 * without bytes are counted as such; http_test.c has the like of each. */
#include "base/json.h"
#include "net/server/server_rig.h"

#define CASES   "../shared/data/http/http11probe-cases.json"
#define ANCHORS "../shared/data/http/http11probe-anchor-measured.json"

struct probe {
    struct peri_json *cases, *anchors;
    struct peri_arena arena;
    int wanted, present, right;
};

static struct peri_json *read_json(const char *path) {
    size_t n;
    char *text = test_read_file(path, &n);
    struct peri_json *j = NULL;
    struct peri_json_options options = { .keeps_text = true };
    if (text != NULL &&
        peri_json_parse(&j, (struct peri_str){ text, n }, &options, NULL) != PERI_OK)
        abort();
    free(text);
    return j;
}

static void put_back(struct peri_str id, char *raw,
                     size_t n) { /* UTF-8 é, and "/" in overlong UTF-8 */
    const char *bytes = peri_str_eq(id, PERI_STR("MAL-NON-ASCII-URL"))       ? "\xc3\xa9"
                        : peri_str_eq(id, PERI_STR("MAL-URL-OVERLONG-UTF8")) ? "\xc0\xaf"
                                                                             : NULL;
    for (size_t i = 0; bytes != NULL && i + 1 < n; i++)
        if (raw[i] == '?' && raw[i + 1] == '?') memcpy(raw + i, bytes, 2);
}

/* The request's bytes; p is NULL when the record has none. */
static struct peri_str request_of(struct probe *p, struct peri_str id) {
    uint32_t cases = peri_json_get(p->cases, peri_json_root(p->cases), PERI_STR("cases"));
    for (size_t i = 0; i < peri_json_count(p->cases, cases); i++) {
        uint32_t record = peri_json_at(p->cases, cases, i);
        if (!peri_json_string_is(p->cases, peri_json_get(p->cases, record, PERI_STR("id")), id))
            continue;
        struct peri_str raw =
            peri_json_string(p->cases, peri_json_get(p->cases, record, PERI_STR("raw")), &p->arena);
        if (raw.p == NULL) return raw;
        return raw;
    }
    return (struct peri_str){ NULL, 0 };
}

/* gives 2, 4 or 5 for the first answer's class, 0 for a close without one, -1 for silence */
static int ask(struct peri_str request) {
    struct rig r;
    rig_open(&r, ANSWER_AT_ONCE, NULL);
    int fd = dial(&r);
    say_n(&r, fd, request.p, request.n);
    const char *answer = hear(&r, fd);
    int class = has(answer, "HTTP/1.1 ") ? answer[9] - '0' : heard_end ? 0 : -1;
    close(fd);
    rig_close(&r);
    return class;
}

static bool is_answered_rightly(struct peri_str request, bool must_serve) {
    int class = ask(request);
    return must_serve ? class == 2 : class == 4 || class == 5 || class == 0;
}

static void run(struct probe *p, const char *list, bool must_serve) {
    uint32_t ids = peri_json_get(p->anchors, peri_json_root(p->anchors), peri_str_of(list));
    p->wanted = p->present = p->right = 0;
    for (size_t i = 0; i < peri_json_count(p->anchors, ids); i++) {
        struct peri_str id =
            peri_json_string(p->anchors, peri_json_at(p->anchors, ids, i), &p->arena);
        struct peri_str request = request_of(p, id);
        p->wanted++;
        if (request.p == NULL) continue;
        bool is_right = is_answered_rightly(request, must_serve);
        struct peri_str whole = peri_arena_dup(&p->arena, request);
        put_back(id, (char *)whole.p, whole.n);
        is_right = is_right && is_answered_rightly(whole, must_serve);
        p->present++;
        p->right += is_right;
        if (!is_right) fprintf(stderr, "wrong answer to %.*s\n", PERI_STR_ARGS(id));
    }
    CHECK(p->present > 0);
    CHECK_EQ(p->right, p->present);
    printf("%d/%d %s (%d of %d records have bytes)\n", p->right, p->present,
           must_serve ? "accepted" : "rejected", p->present, p->wanted);
}

TEST(http_probe) {
    struct probe p = { .cases = read_json(CASES), .anchors = read_json(ANCHORS) };
    peri_arena_init(&p.arena, 0);
    if (p.cases == NULL || p.anchors == NULL) {
        printf("skipped: %s is not there\n", CASES);
    } else {
        run(&p, "strict_ids", false);
        run(&p, "must_accept_ids", true);
    }
    peri_arena_done(&p.arena);
    peri_json_free(p.cases);
    peri_json_free(p.anchors);
}
