/* Random policies over the whole API, with traffic, reloads and hang-ups.
 *
 *   '-' …          Lua text up to the first NUL; '\f' begins what a reload brings, '\v' the second policy of the chain
 *   another byte   how the router ends (left: with what is under way; stopped: it drains first); of the bytes that follow
 *                  policies are made: see fuzz_lua.h
 *
 * Behind the policies stands what happens, one thing after the other: see rig_act. PERI_FUZZ_SHOW=1 prints the policies (an
 * input becomes one of the first kind so) and what the router logs.
 *
 * Whatever a policy does, the process lives, what is under way comes to an end, and everything is back at its base.
 */
#include "script/fuzz_rig.h"

#include <sys/mman.h>

#include "script/fuzz_lua.h"

#define CHAIN 2 /* policies of one generation */
#define LIFE  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct rig rig;
    int files[CHAIN]; /* memory that the router reads its policies from */
    struct api api;
    unsigned served;
    bool is_shown;
};

static void write_policy(struct fuzz *f, size_t which, struct peri_str text) {
    demand(ftruncate(f->files[which], 0) == 0);
    demand(pwrite(f->files[which], text.p, text.n, 0) == (ssize_t)text.n);
    if (f->is_shown) printf("-- policy %zu\n%.*s\n", which, PERI_STR_ARGS(text));
}

static void open_router(struct fuzz *f) {
    char config[2048];
    int n = snprintf(config, sizeof config,
                     "{" RIG_PROVIDERS ",\"seed\":1,\"log\":{\"level\":\"debug\"},\"policy\":{"
                     "\"budget\":\"10ms\",\"memory\":\"2MiB\"},\"policies\":[\"/proc/self/fd/%d\","
                     "\"/proc/self/fd/%d\"]}",
                     f->files[0], f->files[1]);
    demand(n > 0 && (size_t)n < sizeof config);
    for (size_t i = 0; i < CHAIN; i++) write_policy(f, i, PERI_STR("return {}"));
    rig_open(&f->rig, config);
}

static struct peri_state *state_of(struct fuzz *f) {
    const struct peri_policy_lua *set = rig_worker(&f->rig)->env.policy->self;
    return set->state;
}

static void set_up(struct fuzz *f) {
    f->is_shown = getenv("PERI_FUZZ_SHOW") != NULL;
    for (size_t i = 0; i < CHAIN; i++) {
        f->files[i] = memfd_create("policy", 0);
        demand(f->files[i] >= 0);
    }
    open_router(f);
    api_read(&f->api, state_of(f));
}

static void load(struct fuzz *f) {
    struct peri_fault fault;
    enum peri_err err = peri_router_reload(peri_testbed_router(f->rig.bed), &fault);
    if (f->is_shown && err != PERI_OK) printf("-- refused: %s\n", fault.text);
    demand(err == PERI_OK || fault.text[0] != '\0');
    rig_settle(&f->rig);
}

/* What policies meet when the input says nothing: requests of the generation before that end, then new ones: answers, a
 * stream, a client that leaves, and one that is under way when the next generation comes. */
static void serve_usual(struct rig *r) {
    static const struct peri_str bodies[] = {
        PERI_STR_INIT("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"),
        PERI_STR_INIT("{\"model\":\"m\",\"stream\":true,\"messages\":[]}"),
    };
    for (size_t i = 0; i < r->held_count; i++) {
        struct peri_exchange *x = peri_testbed_exchange(r->bed, r->held[i]);
        if (x != NULL && !peri_exchange_is_started(x)) rig_serve(r, r->held[i], x);
    }
    r->held_count = 0;
    rig_settle(r);
    for (size_t i = 0; i < RIG_LINES; i++) rig_hang_up(&r->lines[i]);
    for (size_t i = 0; i < RIG_LINES; i++) {
        r->mood = i < 2 ? RIG_WILLING : RIG_SILENT;
        rig_post(r, rig_line(r, i), "/v1/chat/completions", "", bodies[i % 2]);
    }
    rig_advance(r, 50);
    rig_hang_up(&r->lines[2]);
    rig_settle(r);
}

/* The next generation out of what is made of the feed. */
static void load_made(struct fuzz *f, struct feed *feed) {
    size_t count = feed_below(feed, 4) == 3 ? 2 : 1;
    for (size_t i = 0; i < CHAIN; i++) {
        struct peri_buf text;
        peri_buf_init(&text, 0);
        if (i < count)
            put_policy(&(struct author){ &f->api, feed, &text });
        else
            put(&text, "return {}");
        write_policy(f, i, peri_buf_str(&text));
        peri_buf_done(&text);
    }
    load(f);
}

/* … out of text. gives whether there was one */
static bool load_written(struct fuzz *f, struct peri_str *text) {
    struct peri_str generation, first, second;
    if (!peri_str_cut(&generation, text, '\f')) return false;
    second = generation;
    if (!peri_str_cut(&first, &second, '\v')) first = PERI_STR("");
    if (second.n == 0) second = PERI_STR("return {}");
    write_policy(f, 0, first);
    write_policy(f, 1, second);
    load(f);
    serve_usual(&f->rig);
    serve_usual(&f->rig);
    return true;
}

/* The hosts of a network change. */
static void tell_epoch(struct fuzz *f) {
    static const struct peri_str hosts[] = { PERI_STR_INIT("gonka1a"), PERI_STR_INIT("") };
    static const struct peri_epoch_change change = { .network = PERI_STR_INIT("gonka"),
                                                     .old_epoch = 1,
                                                     .new_epoch = 2,
                                                     .added = hosts,
                                                     .added_count = 2,
                                                     .removed = hosts,
                                                     .removed_count = 1 };
    struct peri_policy *policy = rig_worker(&f->rig)->env.policy;
    if (policy != NULL && policy->ops->epoch != NULL) policy->ops->epoch(policy->self, &change);
    rig_settle(&f->rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz f;
    struct feed feed = { data, data + size };
    struct peri_str written = { NULL, 0 };
    struct rig *r = &f.rig;
    if (size == 0 || size > 16384) return 0;
    if (f.api.functions.count == 0) set_up(&f);
    if (r->bed == NULL) open_router(&f);
    r->feed = &feed;
    bool is_written = data[0] == '-';
    if (is_written) {
        ptrdiff_t end = peri_str_find_char((struct peri_str){ (const char *)data, size }, '\0');
        written = feed_bytes(&feed, end < 0 ? size : (size_t)end);
        feed_byte(&feed);
        load_written(&f, &written);
    } else {
        feed_byte(&feed);
        load_made(&f, &feed);
        serve_usual(r);
    }
    bool is_left = !is_written && (data[0] & 7) == 7, is_stopped = is_left && (data[0] & 8) != 0;
    while (!feed_is_over(&feed)) {
        r->mood = (feed_byte(&feed) & 1) == 0 ? RIG_WILLING : RIG_AS_FED;
        rig_act(r);
        size_t next = feed_below(&feed, 16);
        if (next == 14) tell_epoch(&f);
        if (next != 15) continue;
        if (!is_written)
            load_made(&f, &feed);
        else if (!load_written(&f, &written))
            load(&f);
    }
    while (load_written(&f, &written)) continue;
    if (!is_left) rig_rest(r);
    if (is_stopped) rig_stop(r);
    if (f.is_shown) rig_show(r);
    if (++f.served % LIFE == 0)
        rig_close_checked(r);
    else if (is_left)
        rig_close(r);
    return 0;
}
