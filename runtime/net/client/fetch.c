#include "net/client/fetch.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/retry_after.h"

struct peri_fetch {
    struct peri_call *call;
    struct peri_buf body;
    int status;
    int64_t date_s;
    void (*done)(void *arg, const struct peri_fetched *got);
    void *arg;
};

static void free_fetch(struct peri_fetch *f) {
    peri_buf_done(&f->body);
    peri_free(f);
}

static void finish(struct peri_fetch *f, enum peri_err err, const char *detail) {
    struct peri_fetched got = {
        .err = err, .status = f->status, .body = peri_buf_str(&f->body), .date_s = f->date_s
    };
    snprintf(got.detail, sizeof got.detail, "%s", detail);
    f->done(f->arg, &got);
    free_fetch(f);
}

static void on_head(void *arg, struct peri_call *call, int status,
                    const struct peri_header *headers, size_t count) {
    struct peri_fetch *f = arg;
    bool is_cached = false;
    (void)call;
    f->status = status;
    for (size_t i = 0; i < count; i++) {
        struct peri_str name = headers[i].name, value = peri_str_trim(headers[i].value);
        if (peri_str_eq_nocase(name, PERI_STR("age")))
            is_cached |= !peri_str_eq(value, PERI_STR("0"));
        else if (peri_str_eq_nocase(name, PERI_STR("date")) &&
                 peri_http_date(&f->date_s, value) != PERI_OK)
            f->date_s = 0;
    }
    if (is_cached) f->date_s = 0;
}

static bool on_body(void *arg, struct peri_call *call, struct peri_str bytes) {
    struct peri_fetch *f = arg;
    enum peri_err err = peri_buf_add(&f->body, bytes);
    if (err == PERI_OK) return true;
    peri_call_cancel(call);
    finish(f, err, "the answer is larger than its limit");
    return true;
}

static void on_done(void *arg, struct peri_call *call, const struct peri_call_report *report) {
    (void)call;
    finish(arg, report->err, report->detail);
}

static const struct peri_call_ops ops = { on_head, on_body, on_done };

enum peri_err peri_fetch_call(struct peri_fetch **out, struct peri_client *client,
                              const struct peri_call_spec *spec, size_t max_bytes,
                              void (*done)(void *arg, const struct peri_fetched *got), void *arg) {
    struct peri_fetch *f = peri_calloc(1, sizeof *f);
    if (f == NULL) return PERI_ENOMEM;
    peri_buf_init(&f->body, max_bytes);
    f->done = done;
    f->arg = arg;
    enum peri_err err = peri_call_start(&f->call, client, spec, &ops, f);
    if (err != PERI_OK) {
        free_fetch(f);
        return err;
    }
    *out = f;
    return PERI_OK;
}

enum peri_err peri_fetch_start(struct peri_fetch **out, struct peri_client *client,
                               struct peri_str url, uint64_t timeout_ms, size_t max_bytes,
                               void (*done)(void *arg, const struct peri_fetched *got), void *arg,
                               struct peri_fault *fault) {
    struct peri_url *parsed = NULL;
    enum peri_err err = peri_url_parse(&parsed, url, fault);
    struct peri_call_spec spec = { .url = parsed,
                                   .method = PERI_STR("GET"),
                                   .total_ms = timeout_ms };
    if (err == PERI_OK) err = peri_fetch_call(out, client, &spec, max_bytes, done, arg);
    peri_url_unref(parsed);
    return err;
}

void peri_fetch_cancel(struct peri_fetch *f) {
    if (f == NULL) return;
    peri_call_cancel(f->call);
    free_fetch(f);
}
