#include "gonka/epoch_webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json_text.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/client/fetch.h"

#define TRIES      5
#define BACKOFF_MS 1000 /* after the first failure; doubles */
#define TELL_MS    10000
#define EVENT_MAX  (4u << 20) /* every host of the largest set, twice over */
#define ANSWER_MAX 65536      /* nobody reads it */

struct event {
    struct peri_list link;
    struct peri_buf body;
    uint64_t epoch;
    unsigned tries;
};

struct peri_epoch_webhook {
    struct peri_epoch_webhook_env env;
    const struct peri_config_provider *provider;
    struct peri_url *url;
    struct peri_str authorization; /* owned; wiped. Empty: no key */
    struct peri_list waiting;      /* the first one is being told, or its pause runs */
    size_t count;
    struct peri_fetch *fetch; /* under way */
    struct peri_timer timer;
    struct peri_rand rand;
};

static void drop_event(struct peri_epoch_webhook *w, struct event *e) {
    peri_list_remove(&e->link);
    w->count--;
    peri_buf_done(&e->body);
    peri_free(e);
}

static struct event *first_event(struct peri_epoch_webhook *w) {
    return peri_list_entry(w->waiting.next, struct event, link);
}

static void log_event(struct peri_epoch_webhook *w, enum peri_log_level level, const char *what,
                      const struct event *e, const char *why) {
    if (!peri_log_begin(w->env.log, level, what)) return;
    peri_log_str(w->env.log, "provider", w->provider->id);
    peri_log_int(w->env.log, "epoch", (int64_t)e->epoch);
    peri_log_int(w->env.log, "tries", e->tries);
    if (why[0] != '\0') peri_log_str(w->env.log, "reason", peri_str_of(why));
    peri_log_end(w->env.log);
    peri_log_flush(w->env.log);
}

/* ---- Telling ---- */

static void plan_post(struct peri_epoch_webhook *w, uint64_t ms) {
    if (peri_timer_start(&w->timer, ms) != PERI_OK)
        peri_log_say(w->env.log, PERI_LOG_ERROR,
                     "epoch webhook: changes wait for the next one: out of memory");
}

static bool is_passing(int status) {
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* The first one was told, or is given up; whatever waits behind it has its turn. */
static void end_first(struct peri_epoch_webhook *w) {
    drop_event(w, first_event(w));
    if (w->count > 0) plan_post(w, 0);
}

static void note_failure(struct peri_epoch_webhook *w, bool may_pass, const char *why) {
    struct event *e = first_event(w);
    if (!may_pass || e->tries == TRIES) {
        log_event(w, PERI_LOG_WARN, "epoch webhook failed", e, why);
        end_first(w);
        return;
    }
    log_event(w, PERI_LOG_INFO, "epoch webhook is tried again", e, why);
    uint64_t ms = (uint64_t)BACKOFF_MS << (e->tries - 1);
    plan_post(w, ms - ms / 8 + peri_rand_below(&w->rand, ms / 4));
}

static void on_told(void *arg, const struct peri_fetched *got) {
    struct peri_epoch_webhook *w = arg;
    char why[64];
    w->fetch = NULL;
    /* A receiver that says more than anybody reads has taken it, too. */
    if ((got->err == PERI_OK || got->err == PERI_ETOOBIG) && got->status / 100 == 2) {
        log_event(w, PERI_LOG_DEBUG, "epoch webhook told", first_event(w), "");
        end_first(w);
    } else if (got->err == PERI_OK || got->err == PERI_ETOOBIG) {
        snprintf(why, sizeof why, "answered %d", got->status);
        note_failure(w, is_passing(got->status), why);
    } else {
        /* Not the detail: it may quote the URL. */
        note_failure(w, true, peri_err_text(got->err));
    }
}

static void on_due(void *arg) {
    struct peri_epoch_webhook *w = arg;
    struct event *e = first_event(w);
    e->tries++;
    struct peri_header headers[] = {
        { PERI_STR("content-type"), PERI_STR("application/json") },
        { PERI_STR("authorization"), w->authorization },
    };
    struct peri_call_spec spec = { .url = w->url,
                                   .method = PERI_STR("POST"),
                                   .body = peri_buf_str(&e->body),
                                   .headers = headers,
                                   .header_count = w->authorization.n > 0 ? 2 : 1,
                                   .total_ms = TELL_MS };
    enum peri_err err = peri_fetch_call(&w->fetch, w->env.client, &spec, ANSWER_MAX, on_told, w);
    if (err == PERI_OK) return;
    w->fetch = NULL;
    note_failure(w, err != PERI_EINVAL, peri_err_text(err));
}

/* ---- What is told ---- */

static void put_addresses(struct peri_buf *b, const char *name, const struct peri_gonka_diff *diff,
                          enum peri_gonka_change change) {
    peri_json_put_name(b, name);
    peri_json_put_open(b, '[');
    for (size_t i = 0; i < diff->count; i++) {
        const struct peri_gonka_delta *d = &diff->deltas[i];
        if (d->change == change)
            peri_json_put_string(b, d->after != NULL ? d->after->address : d->before->address);
    }
    peri_json_put_close(b, ']');
}

static void put_time(struct peri_buf *b, uint64_t wall_ns) {
    char day[24], text[32];
    time_t seconds = (time_t)(wall_ns / 1000000000u);
    struct tm t;
    gmtime_r(&seconds, &t);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(text, sizeof text, "%s.%03uZ", day, (unsigned)(wall_ns / 1000000u % 1000u));
    peri_json_put_name(b, "at");
    peri_json_put_string(b, peri_str_of(text));
}

static void put_event(struct peri_epoch_webhook *w, struct peri_buf *b,
                      const struct peri_gonka_diff *diff, const struct peri_gonka_set *before,
                      const struct peri_gonka_set *after) {
    char id[32];
    snprintf(id, sizeof id, "evt_%016" PRIx64 "%08" PRIx32, peri_rand_next(&w->rand),
             (uint32_t)peri_rand_next(&w->rand));
    peri_json_put_open(b, '{');
    peri_json_put_name(b, "id");
    peri_json_put_string(b, peri_str_of(id));
    peri_json_put_name(b, "type");
    peri_json_put_string(b, PERI_STR("epoch_changed"));
    peri_json_put_name(b, "network");
    peri_json_put_string(b, w->provider->id);
    peri_json_put_name(b, "old_epoch");
    if (before != NULL)
        peri_json_put_int(b, (int64_t)before->epoch);
    else
        peri_json_put_null(b);
    peri_json_put_name(b, "new_epoch");
    peri_json_put_int(b, (int64_t)after->epoch);
    put_addresses(b, "added", diff, PERI_GONKA_ADDED);
    put_addresses(b, "removed", diff, PERI_GONKA_REMOVED);
    put_addresses(b, "changed", diff, PERI_GONKA_CHANGED);
    put_time(b, peri_clock_wall_ns(w->env.clock));
    peri_json_put_close(b, '}');
}

/* The one behind the first: the first may be half way to its receiver. */
static void make_room(struct peri_epoch_webhook *w) {
    if (w->count <= PERI_EPOCH_WEBHOOK_QUEUE + 1) return;
    struct event *oldest = peri_list_entry(w->waiting.next->next, struct event, link);
    log_event(w, PERI_LOG_WARN, "epoch webhook left out", oldest, "too many changes wait");
    drop_event(w, oldest);
}

void peri_epoch_webhook_tell(struct peri_epoch_webhook *w, const struct peri_gonka_diff *diff,
                             const struct peri_gonka_set *before,
                             const struct peri_gonka_set *after) {
    struct event *e = peri_calloc(1, sizeof *e);
    if (e == NULL) {
        peri_log_say(w->env.log, PERI_LOG_ERROR,
                     "epoch webhook: a change is not told: out of memory");
        return;
    }
    peri_buf_init(&e->body, EVENT_MAX);
    put_event(w, &e->body, diff, before, after);
    e->epoch = after->epoch;
    peri_list_insert(&w->waiting, &e->link);
    w->count++;
    if (e->body.err != PERI_OK) {
        log_event(w, PERI_LOG_ERROR, "epoch webhook failed", e, peri_err_text(e->body.err));
        drop_event(w, e);
        return;
    }
    make_room(w);
    if (w->fetch == NULL && !peri_timer_is_armed(&w->timer)) plan_post(w, 0);
}

/* ---- Life ---- */

enum peri_err peri_epoch_webhook_new(struct peri_epoch_webhook **out,
                                     const struct peri_config_provider *provider,
                                     const struct peri_epoch_webhook_env *env) {
    const struct peri_config_gonka *o = provider->network_options;
    *out = NULL;
    if (o->epoch_webhook.n == 0) return PERI_OK;
    struct peri_epoch_webhook *w = peri_calloc(1, sizeof *w);
    if (w == NULL) return PERI_ENOMEM;
    w->env = *env;
    w->provider = provider;
    peri_list_init(&w->waiting);
    peri_timer_init(&w->timer, env->loop, on_due, w);
    peri_rand_seed_as(&w->rand, env->seed);
    enum peri_err err =
        peri_url_parse(&w->url, (struct peri_str){ o->epoch_webhook.p, o->epoch_webhook.n }, NULL);
    if (err == PERI_OK && o->epoch_webhook_key.n > 0) {
        size_t n = o->epoch_webhook_key.n + 7;
        char *text = peri_malloc(n);
        if (text == NULL) {
            err = PERI_ENOMEM;
        } else {
            memcpy(text, "Bearer ", 7);
            memcpy(text + 7, o->epoch_webhook_key.p, n - 7);
            w->authorization = (struct peri_str){ text, n };
        }
    }
    if (err != PERI_OK) {
        peri_epoch_webhook_free(w);
        return err;
    }
    *out = w;
    return PERI_OK;
}

void peri_epoch_webhook_free(struct peri_epoch_webhook *w) {
    if (w == NULL) return;
    peri_timer_stop(&w->timer);
    peri_fetch_cancel(w->fetch);
    while (w->count > 0) {
        log_event(w, PERI_LOG_WARN, "epoch webhook left out", first_event(w),
                  "the configuration went first");
        drop_event(w, first_event(w));
    }
    if (w->authorization.n > 0) peri_wipe((char *)w->authorization.p, w->authorization.n);
    peri_free((char *)w->authorization.p);
    peri_url_unref(w->url);
    peri_free(w);
}
