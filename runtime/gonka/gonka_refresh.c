/* One refresh, step by step; see gonka_network.h for the states. Every step is one GET whose callback starts the next. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "gonka/chain/gonka_discovery.h"
#include "gonka/gonka_network_parts.h"
#include "gonka/chain/gonka_proof.h"
#include "gonka/chain/gonka_trusted_block.h"

#define LIST_MS 30000 /* for the participants, as the official clients allow */
#define SIDE_MS 10000 /* for what is small, or can be done without */
#define CHECKS_MAX                                                                                 \
    10 /* epoch checks between two looks at the whole set: weights change inside an epoch, too */
#define BACKOFF_MS   2000 /* after the first failure; doubles */
#define SMALL_MAX    (1u << 20)
#define BLOCK_LAG_NS INT64_C(30000000000) /* of an honest node, at worst */
#define CORRECTED_NS INT64_C(2000000000)  /* a correction as good as that stands */

static void ask_participants(struct peri_gonka_network *n);
static void ask_params(struct peri_gonka_network *n);
static enum peri_err read_document(struct peri_gonka_network *n, struct peri_str document,
                                   struct peri_str commit, struct peri_fault *fault);

/* ---- The timer ---- */

static void plan_look(struct peri_gonka_network *n, uint64_t ms) {
    if (n->is_ordered) {
        n->is_ordered = false;
        n->checked = CHECKS_MAX;
        peri_timer_start(&n->timer, 0);
        return;
    }
    if (!n->is_running) return;
    uint64_t jitter = ms / 5; /* a fleet of routers must not ask a node in step */
    ms = ms - jitter / 2 + peri_rand_below(&n->rand, jitter + 1);
    n->status.next_ms = peri_loop_now_ms(n->env.loop) + ms;
    peri_timer_start(&n->timer, ms);
}

static void note_failure(struct peri_gonka_network *n, const char *what, const char *why) {
    peri_gonka_set_free(n->next);
    n->next = NULL;
    peri_buf_done(&n->document);
    n->failures++;
    n->status.failures++;
    struct peri_str source = n->network.provider->sources[n->source];
    snprintf(n->status.last_error, sizeof n->status.last_error, "%.*s: %s: %s",
             (int)(source.n < 80 ? source.n : 80), source.p, what, why);
    peri_log_say(n->env.log, PERI_LOG_WARN, "gonka: refresh failed: %s", n->status.last_error);
    peri_log_flush(n->env.log);
    n->source = (n->source + 1) % n->network.provider->source_count;
    uint64_t pause = BACKOFF_MS << (n->failures < 6 ? n->failures - 1 : 5);
    plan_look(n, pause < n->options->refresh_ms ? pause : n->options->refresh_ms);
    if (n->env.refreshed != NULL) n->env.refreshed(n->env.arg);
}

static void note_success(struct peri_gonka_network *n) {
    n->failures = 0;
    n->status.refreshes++;
    n->status.last_error[0] = '\0';
    n->status.last_ok_ms = peri_loop_now_ms(n->env.loop);
    plan_look(n, n->options->refresh_ms);
    if (n->env.refreshed != NULL) n->env.refreshed(n->env.arg);
}

/* ---- The clock ---- */

static int64_t wall_ns(const struct peri_gonka_network *n) {
    return (int64_t)peri_clock_wall_ns(n->env.clock);
}

static void correct_clock(struct peri_gonka_network *n, int64_t offset_ns) {
    peri_gonka_skew_set(&n->skew, n->env.clock, offset_ns);
    if (offset_ns == 0)
        peri_log_say(n->env.log, PERI_LOG_INFO,
                     "gonka: this machine's clock agrees with the network's again");
    else
        peri_log_say(n->env.log, PERI_LOG_WARN,
                     "gonka: this machine's clock is %.0f s %s the network's: signatures carry the "
                     "network's time; synchronise the clock (NTP)",
                     (double)llabs(offset_ns) / 1e9, offset_ns > 0 ? "behind" : "ahead of");
    peri_log_flush(n->env.log);
}

/* ---- Steps ---- */

static bool is_file(const struct peri_gonka_network *n) {
    return peri_str_has_prefix(n->network.provider->sources[n->source], PERI_STR("file://"));
}

/* The present source without what stands behind its host. */
static void settle_base(struct peri_gonka_network *n) {
    struct peri_str base = n->network.provider->sources[n->source];
    while (base.n > 0 && base.p[base.n - 1] == '/') base.n--;
    if (peri_str_has_suffix(base, PERI_STR("/v1"))) base.n -= 3;
    snprintf(n->base, sizeof n->base, "%.*s", PERI_STR_ARGS(base));
}

/* Start a GET of the present source's `path`; a failure to start ends the refresh. */
static void get(struct peri_gonka_network *n, const char *path, size_t max, uint64_t limit_ms,
                void (*done)(void *arg, const struct peri_fetched *got)) {
    char url[2048];
    snprintf(url, sizeof url, "%s%s", n->base, path);
    struct peri_fault fault = { .text = "" };
    n->sent_ns = wall_ns(n);
    enum peri_err err = peri_fetch_start(&n->fetch, n->env.client, peri_str_of(url), limit_ms, max,
                                         done, n, &fault);
    if (err == PERI_OK) return;
    n->fetch = NULL;
    note_failure(n, path, fault.text[0] != '\0' ? fault.text : peri_err_text(err));
}

static bool is_good(struct peri_gonka_network *n, const struct peri_fetched *got, char why[200]) {
    n->fetch = NULL;
    if (got->err != PERI_OK)
        snprintf(why, 200, "%s", got->detail[0] ? got->detail : peri_err_text(got->err));
    else if (got->status != 200)
        snprintf(why, 200, "answered %d", got->status);
    return got->err == PERI_OK && got->status == 200;
}

/* The same hosts, judged anew. */
static void publish_again(struct peri_gonka_network *n) {
    n->env.changed(n->env.arg, &n->network, NULL);
}

/* Everything is known of it. `preserved`: the window whose snapshot it was marked by, 0: none. */
static void install_set(struct peri_gonka_network *n, int64_t preserved) {
    struct peri_gonka_set *set = n->next;
    n->next = NULL;
    enum peri_err err = peri_gonka_make_current(n, set);
    if (err == PERI_OK) {
        n->preserved = preserved;
        n->checked = 0;
        peri_gonka_keep(n);
        peri_buf_done(&n->document);
        note_success(n);
        return;
    }
    peri_gonka_set_free(set);
    note_failure(n, "participants",
                 err == PERI_ENOTFOUND ? "not one of them is usable" : peri_err_text(err));
}

/* Without a snapshot the time slots in the list hold: older chains have no other word, newer ones make it a little after
 * the window began. */
static void on_preserved(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    bool applies = false;
    struct peri_gonka_set *set = n->next != NULL ? n->next : n->set;
    struct peri_fault fault = { .text = "" };
    if (is_good(n, got, why) &&
        peri_gonka_preserved_apply(&applies, set, &n->epoch, got->body, &fault) != PERI_OK)
        peri_log_say(n->env.log, PERI_LOG_WARN, "gonka: %s", fault.text);
    int64_t window = applies ? peri_gonka_window(&n->epoch) : 0;
    if (n->next != NULL) {
        install_set(n, window);
        return;
    }
    n->preserved = window;
    if (applies) publish_again(n);
    note_success(n);
}

static void ask_preserved(struct peri_gonka_network *n) {
    get(n, PERI_GONKA_PRESERVED_PATH, SMALL_MAX * 8, SIDE_MS, on_preserved);
}

/* The set is fetched, proven if asked, and the allow-list known: judge it and make it current. */
static void judge_next(struct peri_gonka_network *n) {
    peri_gonka_judge(n, n->next, false);
    if (!is_file(n) && n->has_epoch && peri_gonka_window(&n->epoch) != 0)
        ask_preserved(n);
    else
        install_set(n, 0);
}

static void take_delegate(struct peri_gonka_network *n, struct peri_str identity) {
    struct peri_arena a;
    struct peri_str node;
    size_t count;
    const struct peri_gonka_delegate *list;
    peri_arena_init(&a, SMALL_MAX * 4);
    if (peri_gonka_delegates_read(&list, &count, &node, &a, identity, NULL) == PERI_OK &&
        count > 0 &&
        !peri_gonka_delegate_apply(n->next, node, list, count, n->options->may_use_private_hosts))
        peri_log_say(n->env.log, PERI_LOG_DEBUG, "gonka: no delegate of %s can be used", n->base);
    peri_arena_done(&a);
}

static void on_identity(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    if (is_good(n, got, why)) take_delegate(n, got->body);
    judge_next(n);
}

/* Whom the source itself has called in its place. Nothing of it is proven. */
static void ask_identity(struct peri_gonka_network *n) {
    if (n->options->verify_proofs)
        judge_next(n);
    else
        get(n, PERI_GONKA_IDENTITY_PATH, SMALL_MAX, SIDE_MS, on_identity);
}

static void on_params(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    struct peri_gonka_params params;
    struct peri_arena fresh;
    peri_arena_init(&fresh, SMALL_MAX * 4);
    if (is_good(n, got, why) &&
        peri_gonka_params_read(&params, &fresh, got->body, NULL) == PERI_OK) {
        peri_arena_done(&n->arena);
        n->arena = fresh;
        n->agents = (struct peri_str *)params.agents;
        n->agent_count = params.agent_count;
        n->safe_ns = peri_gonka_skew_safe_ns(params.stamp_expiration_s, params.stamp_advance_s);
    } else {
        /* What was known of the allow-list still holds; a node without the endpoint has no list. */
        peri_arena_done(&fresh);
    }
    ask_identity(n);
}

static void ask_params(struct peri_gonka_network *n) {
    get(n, "/chain-api/productscience/inference/inference/params", SMALL_MAX * 4, SIDE_MS,
        on_params);
}

/* From a document, proven if that is asked, to n->next. */
static enum peri_err read_document(struct peri_gonka_network *n, struct peri_str document,
                                   struct peri_str commit, struct peri_fault *fault) {
    enum peri_err err =
        n->options->verify_proofs
            ? peri_gonka_trusted_block_prove(&n->next, n->options,
                                             n->trusted != NULL ? &n->trusted->validators : NULL,
                                             document, commit, n->env.log, fault)
            : peri_gonka_set_read(&n->next, document, fault);
    if (err != PERI_OK) n->next = NULL;
    return err;
}

/* A node that lags or lies tells of an epoch that was followed by another, with a proof that was true then. Gone back
 * from is what a start found on disk, for the network may have begun anew, and an epoch without proof that every
 * source contradicts: it may have been the lie. */
static bool is_over(const struct peri_gonka_network *n, const struct peri_gonka_set *told,
                    struct peri_fault *fault) {
    if (n->set == NULL || n->status.last_ok_ms == 0 || told->epoch >= n->set->epoch) return false;
    if (!n->set->is_proven && n->failures >= n->network.provider->source_count) return false;
    peri_fault_set(fault, PERI_EPROTO, "told epoch %llu, which is over: %llu is current",
                   (unsigned long long)told->epoch, (unsigned long long)n->set->epoch);
    return true;
}

static void take_document(struct peri_gonka_network *n, struct peri_str commit) {
    struct peri_fault fault = { .text = "" };
    enum peri_err err = read_document(n, peri_buf_str(&n->document), commit, &fault);
    if (err != PERI_OK) {
        note_failure(n, n->options->verify_proofs ? "proof" : "participants",
                     fault.text[0] != '\0' ? fault.text : peri_err_text(err));
        return;
    }
    if (is_over(n, n->next, &fault)) {
        peri_gonka_set_free(n->next);
        n->next = NULL;
        note_failure(n, "participants", fault.text);
        return;
    }
    ask_params(n);
}

/* The commit of the block whose header carries the record's app hash; without it only a pinned block can prove. */
static void on_commit(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    bool has_commit = is_good(n, got, why);
    take_document(n, has_commit ? got->body : PERI_STR(""));
}

static void on_followed(void *arg, enum peri_err err, struct peri_gonka_trusted *trusted,
                        struct peri_str commit, const char *why) {
    struct peri_gonka_network *n = arg;
    n->follow = NULL;
    if (err != PERI_OK) {
        note_failure(n, "following the chain", why[0] != '\0' ? why : peri_err_text(err));
        return;
    }
    peri_gonka_trusted_free(n->trusted);
    n->trusted = trusted;
    peri_log_say(n->env.log, PERI_LOG_INFO, "gonka: the chain was followed to block %lld",
                 (long long)trusted->height);
    take_document(n, commit);
}

/* From the block that is trusted to the one whose header carries the record's app hash. */
static void follow_chain(struct peri_gonka_network *n, int64_t target) {
    struct peri_fault fault = { .text = "" };
    struct peri_gonka_walk walk = { .client = n->env.client,
                                    .clock = n->env.clock,
                                    .base = peri_str_of(n->base),
                                    .chain_id = n->options->trust_chain,
                                    .from = n->trusted,
                                    .pin = { .height = (int64_t)n->options->trust_height },
                                    .target = target };
    enum peri_err err = peri_gonka_trusted_block_hash(walk.pin.hash, n->options, &fault);
    if (err == PERI_OK) err = peri_gonka_follow_start(&n->follow, &walk, on_followed, n, &fault);
    if (err == PERI_OK) return;
    n->follow = NULL;
    note_failure(n, "following the chain", fault.text[0] != '\0' ? fault.text : peri_err_text(err));
}

/* What the proof leads to: the block after the one that wrote the record. */
static void ask_proven_block(struct peri_gonka_network *n) {
    struct peri_gonka_set *set;
    struct peri_fault fault = { .text = "" };
    enum peri_err err = peri_gonka_set_read(&set, peri_buf_str(&n->document), &fault);
    int64_t height = err == PERI_OK ? set->created_height + 1 : 0;
    if (err == PERI_OK) peri_gonka_set_free(set);
    if (err != PERI_OK) {
        note_failure(n, "participants", fault.text[0] != '\0' ? fault.text : peri_err_text(err));
    } else if (n->options->trust_height > 0 &&
               (n->trusted == NULL || n->trusted->height != height)) {
        follow_chain(n, height);
    } else {
        char path[64];
        snprintf(path, sizeof path, "/chain-rpc/commit?height=%lld", (long long)height);
        get(n, path, SMALL_MAX * 4, LIST_MS, on_commit);
    }
}

static void on_participants(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    if (!is_good(n, got, why)) {
        note_failure(n, "participants", why);
        return;
    }
    peri_buf_init(&n->document, PERI_GONKA_DOCUMENT_MAX);
    enum peri_err err = peri_buf_add(&n->document, got->body);
    if (err != PERI_OK)
        note_failure(n, "participants", peri_err_text(err));
    else if (n->options->verify_proofs)
        ask_proven_block(n);
    else
        take_document(n, PERI_STR(""));
}

static void ask_participants(struct peri_gonka_network *n) {
    get(n, "/v1/epochs/current/participants", PERI_GONKA_DOCUMENT_MAX, LIST_MS, on_participants);
}

/* The hosts of that epoch, or the current ones when they are still those. */
static void check_hosts(struct peri_gonka_network *n, const struct peri_gonka_epoch *e) {
    /* Until its validators are set the newest epoch is not the one that serves. */
    bool is_pending =
        e->stages.set_new_validators != 0 && e->height <= e->stages.set_new_validators;
    bool is_same = n->set != NULL && (n->set->epoch == e->index || is_pending);
    if (!is_same || n->failures > 0 || n->checked++ >= CHECKS_MAX)
        ask_participants(n);
    else if (n->preserved != peri_gonka_window(e))
        ask_preserved(n);
    else
        note_success(n);
}

/* Nodes without the cheap check are asked for everything. */
static void after_phase(struct peri_gonka_network *n) {
    if (n->is_phase_known)
        check_hosts(n, &n->epoch);
    else
        ask_participants(n);
}

/* Said once, though the node may say it in every refresh. */
static void dispute_clock(struct peri_gonka_network *n) {
    if (llabs(n->disputed_ns - n->suspected_ns) <= CORRECTED_NS) return;
    n->disputed_ns = n->suspected_ns;
    peri_log_say(n->env.log, PERI_LOG_WARN,
                 "gonka: by its clock %s is %+.0f s from this machine, by its newest block it is "
                 "not: nothing is corrected",
                 n->base, (double)n->suspected_ns / 1e9);
}

/* The node's own clock may be what is off: the time that validators agreed on decides, where it is told. Blocks lag
 * behind the clock by seconds. */
static void on_chain_status(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    int64_t block_ns;
    if (is_good(n, got, why) && peri_gonka_block_time(&block_ns, got->body) &&
        llabs(block_ns - wall_ns(n) - n->suspected_ns) > BLOCK_LAG_NS)
        dispute_clock(n);
    else
        correct_clock(n, n->suspected_ns);
    after_phase(n);
}

/* gives true: it is another than what signatures carry, and the chain must be asked. */
static bool is_clock_doubted(struct peri_gonka_network *n, int64_t date_s) {
    if (date_s <= 0 || date_s > PERI_GONKA_TIME_MAX_S) return false;
    int64_t applied = peri_gonka_skew_applied(&n->skew, n->env.clock);
    n->suspected_ns =
        peri_gonka_skew_of(date_s * INT64_C(1000000000), n->sent_ns, wall_ns(n), n->safe_ns);
    if (n->suspected_ns == 0) {
        if (applied != 0) correct_clock(n, 0);
        return false;
    }
    return llabs(n->suspected_ns - applied) > CORRECTED_NS;
}

static void take_epoch(struct peri_gonka_network *n, const struct peri_gonka_epoch *e) {
    bool is_other = !n->has_epoch || peri_gonka_service(e) != peri_gonka_service(&n->epoch);
    n->epoch = *e;
    n->has_epoch = true;
    if (n->set != NULL && n->preserved != 0 && n->preserved != peri_gonka_window(e)) {
        peri_gonka_preserved_forget(n->set);
        n->preserved = 0;
    }
    if (is_other && n->set != NULL) publish_again(n);
}

static void on_phase(void *arg, const struct peri_fetched *got) {
    struct peri_gonka_network *n = arg;
    char why[200];
    struct peri_gonka_epoch epoch;
    n->is_phase_known =
        is_good(n, got, why) && peri_gonka_epoch_read(&epoch, got->body, NULL) == PERI_OK;
    /* Who is silent now would be silent for the list, too. */
    if (got->err == PERI_ETIMEOUT && n->network.provider->source_count > 1) {
        note_failure(n, "epoch", why);
        return;
    }
    if (n->is_phase_known) take_epoch(n, &epoch);
    if (is_clock_doubted(n, got->date_s))
        get(n, PERI_GONKA_CHAIN_STATUS_PATH, SMALL_MAX, SIDE_MS, on_chain_status);
    else
        after_phase(n);
}

static void ask_phase(struct peri_gonka_network *n) {
    get(n, "/v1/epochs/latest", SMALL_MAX, SIDE_MS, on_phase);
}

/* A file, in development: read whole, at once. */
static void read_source(struct peri_gonka_network *n, struct peri_str path) {
    struct peri_buf text;
    struct peri_fault fault = { .text = "" };
    peri_buf_init(&text, PERI_GONKA_DOCUMENT_MAX);
    enum peri_err err = peri_file_read(&text, path, &fault);
    if (err == PERI_OK) err = read_document(n, peri_buf_str(&text), PERI_STR(""), &fault);
    peri_buf_done(&text);
    if (err == PERI_OK)
        judge_next(n);
    else
        note_failure(n, "file", fault.text[0] != '\0' ? fault.text : peri_err_text(err));
}

void peri_gonka_refresh_due(void *arg) {
    struct peri_gonka_network *n = arg;
    if (n->fetch != NULL || n->follow != NULL) return;
    settle_base(n);
    if (is_file(n))
        read_source(n, peri_str_from(n->network.provider->sources[n->source], 7));
    else
        ask_phase(n);
}

void peri_gonka_start(struct peri_network *network) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    n->has_started = true;
    if (n->network.provider->source_count == 0) return;
    n->is_running = n->options->is_refreshing;
    n->checked = CHECKS_MAX; /* what was kept says nothing of the chain's allow-list */
    peri_gonka_refresh_due(n);
}

void peri_gonka_refresh(struct peri_network *network) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    if (n->network.provider->source_count == 0) return;
    if (n->fetch != NULL || n->follow != NULL) {
        n->is_ordered = true;
        return;
    }
    n->checked = CHECKS_MAX;
    peri_timer_stop(&n->timer);
    peri_gonka_refresh_due(n);
}

void peri_gonka_close(struct peri_network *network) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    n->is_running = n->is_ordered = false;
    peri_timer_stop(&n->timer);
    peri_fetch_cancel(n->fetch);
    peri_gonka_follow_cancel(n->follow);
    n->fetch = NULL;
    n->follow = NULL;
    peri_buf_done(&n->document);
    peri_epoch_webhook_free(n->webhook);
    n->webhook = NULL;
}
