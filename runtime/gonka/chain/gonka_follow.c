#include "gonka/chain/gonka_follow.h"

#include <stdio.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

#define STEP_MS    30000
#define PAGE_SIZE  100
#define PAGES_MAX  100
#define BLOCKS_MAX 64 /* blocks one walk may look at: halving 2^63 heights takes no more */
#define BYTES_MAX  (8u << 20)

struct peri_gonka_follow {
    struct peri_gonka_walk walk;
    peri_gonka_followed done;
    void *arg;
    struct peri_fetch *fetch;
    struct peri_hasher *hasher;
    struct peri_gonka_trusted *trusted; /* how far we are; NULL: not begun, or still at walk.from */
    int64_t height;                     /* of the block being fetched */
    unsigned blocks;
    struct peri_buf commit;
    struct peri_str pages[PAGES_MAX]; /* each from the heap */
    size_t page_count;
};

static const struct peri_gonka_trusted *standing(const struct peri_gonka_follow *f) {
    return f->trusted != NULL ? f->trusted : f->walk.from;
}

static void drop_pages(struct peri_gonka_follow *f) {
    for (size_t i = 0; i < f->page_count; i++) peri_free((char *)f->pages[i].p);
    f->page_count = 0;
}

void peri_gonka_follow_cancel(struct peri_gonka_follow *f) {
    if (f == NULL) return;
    peri_fetch_cancel(f->fetch);
    drop_pages(f);
    peri_buf_done(&f->commit);
    peri_gonka_trusted_free(f->trusted);
    peri_hasher_free(f->hasher);
    peri_free(f);
}

static void end(struct peri_gonka_follow *f, enum peri_err err, const char *why) {
    struct peri_gonka_trusted *trusted = err == PERI_OK ? f->trusted : NULL;
    if (trusted != NULL) f->trusted = NULL;
    f->done(f->arg, err, trusted, peri_buf_str(&f->commit), why);
    peri_gonka_follow_cancel(f);
}

static enum peri_err get(struct peri_gonka_follow *f, const char *path,
                         void (*done)(void *, const struct peri_fetched *),
                         struct peri_fault *fault) {
    char url[2048];
    snprintf(url, sizeof url, "%.*s%s", PERI_STR_ARGS(f->walk.base), path);
    return peri_fetch_start(&f->fetch, f->walk.client, peri_str_of(url), STEP_MS, BYTES_MAX, done,
                            f, fault);
}

/* gives false when the walk has ended */
static bool took(struct peri_gonka_follow *f, const struct peri_fetched *got, const char *what) {
    char why[240];
    f->fetch = NULL;
    if (got->err == PERI_OK && got->status == 200) return true;
    if (got->err != PERI_OK)
        snprintf(why, sizeof why, "%s: %s", what, got->detail);
    else
        snprintf(why, sizeof why, "%s of block %lld: answered %d", what, (long long)f->height,
                 got->status);
    end(f, got->err != PERI_OK ? got->err : PERI_EUPSTREAM, why);
    return false;
}

static void on_commit(void *arg, const struct peri_fetched *got);
static void on_page(void *arg, const struct peri_fetched *got);

static enum peri_err ask_block(struct peri_gonka_follow *f, int64_t height,
                               struct peri_fault *fault) {
    char path[64];
    drop_pages(f);
    peri_buf_clear(&f->commit);
    f->height = height;
    if (++f->blocks > BLOCKS_MAX)
        return peri_fault_set(fault, PERI_ETOOBIG, "the chain is too long to follow");
    snprintf(path, sizeof path, "/chain-rpc/commit?height=%lld", (long long)height);
    return get(f, path, on_commit, fault);
}

static void go_on(struct peri_gonka_follow *f, int64_t height) {
    struct peri_fault fault = { .text = "" };
    enum peri_err err = ask_block(f, height, &fault);
    if (err != PERI_OK) end(f, err, fault.text[0] != '\0' ? fault.text : peri_err_text(err));
}

/* The block is here: begin with it, or step to it, or take one half-way first. */
static void judge(struct peri_gonka_follow *f) {
    struct peri_gonka_block block = { peri_buf_str(&f->commit), f->pages, f->page_count };
    struct peri_gonka_trusted *next;
    struct peri_fault fault = { .text = "" };
    const struct peri_gonka_trusted *from = standing(f);
    int64_t now_s = (int64_t)(peri_clock_wall_ns(f->walk.clock) / 1000000000u);
    enum peri_err err = from == NULL
                            ? peri_gonka_trusted_start(&next, f->hasher, &block, f->walk.chain_id,
                                                       f->walk.pin.hash, &fault)
                            : peri_gonka_trusted_step(&next, f->hasher, from, &block, now_s,
                                                      PERI_GONKA_TRUSTING_S, &fault);
    if (err == PERI_OK) {
        peri_gonka_trusted_free(f->trusted);
        f->trusted = next;
        if (f->height == f->walk.target)
            end(f, PERI_OK, "");
        else
            go_on(f, f->walk.target);
        return;
    }
    int64_t gap = from == NULL ? 0 : f->height - from->height;
    if (err == PERI_EDENIED && gap > 1)
        go_on(f, from->height + gap / 2);
    else
        end(f, err, fault.text);
}

static void ask_page(struct peri_gonka_follow *f) {
    char path[96];
    struct peri_fault fault = { .text = "" };
    snprintf(path, sizeof path, "/chain-rpc/validators?height=%lld&per_page=%d&page=%zu",
             (long long)f->height, PAGE_SIZE, f->page_count + 1);
    enum peri_err err = get(f, path, on_page, &fault);
    if (err != PERI_OK) end(f, err, fault.text[0] != '\0' ? fault.text : peri_err_text(err));
}

static void on_commit(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_follow *f = arg;
    if (!took(f, got, "commit")) return;
    if (peri_buf_add(&f->commit, got->body) != PERI_OK)
        end(f, PERI_ENOMEM, "out of memory");
    else
        ask_page(f);
}

/* Validators on a page; a full one is followed by another. */
static size_t count_validators(struct peri_str page) {
    struct peri_json *j;
    if (peri_json_parse(&j, page, NULL, NULL) != PERI_OK) return 0;
    uint32_t root = peri_json_root(j), result = peri_json_get(j, root, PERI_STR("result"));
    uint32_t list =
        peri_json_get(j, result != PERI_JSON_NONE ? result : root, PERI_STR("validators"));
    size_t count = peri_json_kind(j, list) == PERI_JSON_ARRAY ? peri_json_count(j, list) : 0;
    peri_json_free(j);
    return count;
}

static void on_page(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_follow *f = arg;
    if (!took(f, got, "validators")) return;
    size_t count = count_validators(got->body);
    char *copy = count > 0 || f->page_count == 0 ? peri_malloc(got->body.n) : NULL;
    if (copy != NULL) {
        memcpy(copy, got->body.p, got->body.n);
        f->pages[f->page_count++] = (struct peri_str){ copy, got->body.n };
    } else if (count > 0) {
        end(f, PERI_ENOMEM, "out of memory");
        return;
    }
    if (count >= PAGE_SIZE && f->page_count < PAGES_MAX)
        ask_page(f);
    else
        judge(f);
}

enum peri_err peri_gonka_follow_start(struct peri_gonka_follow **out,
                                      const struct peri_gonka_walk *walk, peri_gonka_followed done,
                                      void *arg, struct peri_fault *fault) {
    int64_t begin = walk->from != NULL ? walk->from->height : walk->pin.height;
    if (begin <= 0 || walk->target < begin)
        return peri_fault_set(fault, PERI_EINVAL, "block %lld is not behind the trusted block %lld",
                              (long long)walk->target, (long long)begin);
    struct peri_gonka_follow *f = peri_calloc(1, sizeof *f);
    if (f == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    f->walk = *walk;
    f->done = done;
    f->arg = arg;
    peri_buf_init(&f->commit, BYTES_MAX);
    enum peri_err err = peri_hasher_new(&f->hasher);
    if (err == PERI_OK)
        err = ask_block(f, walk->from != NULL ? walk->target : walk->pin.height, fault);
    if (err != PERI_OK) {
        peri_gonka_follow_cancel(f);
        return err;
    }
    *out = f;
    return PERI_OK;
}
