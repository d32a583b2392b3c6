/* A running router for fuzz targets: clients that are bare sockets, providers that do what the input says, time that moves
 * when it says so. The router is served over and over; what an input left under way ends with it, and then every count is
 * demanded to be back at its base.
 */
#ifndef PERI_SCRIPT_FUZZ_RIG_H
#define PERI_SCRIPT_FUZZ_RIG_H

#include <sanitizer/lsan_interface.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet/vitals.h"
#include "net/server/server.h"
#include "router/router.h"
#include "router/testbed.h"
#include "script/fuzz_feed.h"
#include "script/policy/policy_lua.h"

#define RIG_LINES    4
#define RIG_HELD     8
#define RIG_SEEN_MAX 65536 /* of an answer: what is behind it is read and not looked at */
#define RIG_FD_MAX   400
#define RIG_KEY      "prov1der-s3cret"
#define RIG_CLIENT   "cl1ent-s3cret"
#define RIG_PROVIDERS                                                                              \
    "\"providers\":["                                                                              \
    "{\"id\":\"a\",\"url\":\"http://192.0.2.1:1/v1\",\"key\":\"" RIG_KEY "\"},"                    \
    "{\"id\":\"b\",\"url\":\"http://192.0.2.1:2/v1\",\"models\":{\"m\":{\"context_tokens\":2000}," \
    "\"kimi-k2\":{\"upstream\":\"moonshotai/Kimi-K2.6\"},\"qwen3\":{}},\"tier\":2},"               \
    "{\"id\":\"c\",\"url\":\"http://192.0.2.1:3/v1\",\"models\":[\"m\",\"other\"],"                \
    "\"max_concurrent\":1,\"tier\":3}]"

/* A client's connection. */
struct rig_line {
    int fd;       /* -1: none */
    bool is_slow; /* nothing is read from it */
    struct peri_buf seen;
};

struct rig {
    struct peri_testbed *bed;
    struct feed *feed;                                 /* that providers read their parts from */
    enum { RIG_AS_FED, RIG_WILLING, RIG_SILENT } mood; /* of providers */
    bool is_refusing;                                  /* nobody answers a connection */
    struct rig_line lines[RIG_LINES];
    uint64_t held[RIG_HELD]; /* exchanges that wait for what the input says */
    size_t held_count;
};

/* ---- Providers ---- */

static inline void put_chunk(struct peri_buf *out, struct feed *f) {
    static const char *const deltas[] = {
        "{'content':'hi'}",
        "{'role':'assistant','content':''}",
        "{'reasoning':'so'}",
        "{'reasoning_content':'so'}",
        "{'content':'<think>'}",
        "{'content':'</think>a'}",
        ("{'tool_calls':[{'index':0,'id':'call_1','type':'function',"
         "'function':{'name':'f','arguments':'{'}}]}"),
        "{'tool_calls':[{'index':0,'function':{'arguments':'}'}}]}",
        "{'refusal':'no'}",
        "{}"

    };
    static const char *const others[] = {
        "data: [DONE]\n\n",
        ": keep-alive\n\n",
        "data: {'error':{'message':'no','code':429}}\n\n",
        "event: error\ndata: {'error':'x'}\n\n",
        "data: {'choices':[],'usage':{'prompt_tokens':1,'completion_tokens':2}}\n\n",
        "data: {'choices':[{'index':0,'delta':{},'finish_reason':'stop'}]}\n\n",
        "data: {'choices':[{'index':0,'delta':{},'finish_reason':'length'}]}\n\n",
        "data:\n\n",
        "data: {\n\n",
        "\n\n",
        "data: {'choi"
    };
    unsigned kind = feed_byte(f);
    if (kind < 96) {
        put(out, "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"model\":\"m\","
                 "\"choices\":[{\"index\":0,\"delta\":");
        put_quoted(out, PICK(f, deltas));
        put(out, "}]}\n\n");
    } else if (kind < 176) {
        put_quoted(out, PICK(f, others));
    } else if (kind < 224) {
        put(out, "data: {\"choices\":[{\"index\":");
        put_json(out, f, 1);
        put(out, ",\"delta\":");
        put_json(out, f, 3);
        put(out, "}]}\n\n");
    } else if (kind < 240) {
        put(out, "data: ");
        put_json(out, f, 3);
        put(out, "\n\n");
    } else {
        put_str(out, feed_bytes(f, feed_byte(f)));
    }
}

static inline void put_whole(struct peri_buf *out, struct feed *f) {
    static const char *const plain[] = {
        ("{'id':'x','object':'chat.completion','choices':[{'index':0,"
         "'message':{'role':'assistant','content':'hi'},'finish_reason':'stop'}],"
         "'usage':{'prompt_tokens':1}}"),
        ("{'id':'x','choices':[{'index':0,'message':{'role':'assistant',"
         "'content':'<think>a</think>b','reasoning':'c'},'finish_reason':'stop'}]}"),
        ("{'id':'x','choices':[{'index':0,'message':{'role':'assistant','content':null,"
         "'tool_calls':[{'id':'call_1','type':'function','function':{'name':'f',"
         "'arguments':'{}'}}]},'finish_reason':'tool_calls'}]}"),
        ("{'id':'x','choices':[{'index':0,'message':{'content':''},"
         "'finish_reason':'length'}],'usage':{'completion_tokens':9}}"),
        "{'object':'list','data':[{'embedding':[0.1],'index':0}]}",
        "{'error':{'message':'no','type':'x','param':null,'code':'y'}}",
        "<html>",
        ""

    };
    unsigned kind = feed_byte(f);
    if (kind < 128) {
        put_quoted(out, PICK(f, plain));
    } else if (kind < 224) {
        put(out, "{\"choices\":[{\"index\":0,\"message\":");
        put_json(out, f, 3);
        put(out, "}],\"usage\":");
        put_json(out, f, 2);
        put(out, "}");
    } else {
        put_json(out, f, 4);
    }
}

static inline const struct peri_header *feed_type(struct feed *f) {
    static const struct peri_header types[] = {
        { PERI_STR_INIT("content-type"), PERI_STR_INIT("application/json") },
        { PERI_STR_INIT("content-type"), PERI_STR_INIT("text/event-stream") },
        { PERI_STR_INIT("content-type"), PERI_STR_INIT("text/html") },
        { PERI_STR_INIT("retry-after"), PERI_STR_INIT("30") },
        { PERI_STR_INIT("content-encoding"), PERI_STR_INIT("gzip") },
    };
    return &PICK(f, types);
}

static inline int feed_status(struct feed *f) {
    static const int statuses[] = { 200, 400, 401, 402, 403, 404, 408, 410, 413, 422,
                                    425, 429, 500, 502, 503, 529, 204, 301, 999 };
    return PICK(f, statuses);
}

/* A provider that serves well: whole or streamed, as it was asked. */
static inline void rig_serve(struct rig *r, uint64_t id, struct peri_exchange *x) {
    static const struct peri_header json = { PERI_STR_INIT("content-type"),
                                             PERI_STR_INIT("application/json") },
                                    sse = { PERI_STR_INIT("content-type"),
                                            PERI_STR_INIT("text/event-stream") };
    struct feed none = { NULL, NULL };
    struct peri_buf text;
    bool is_stream = peri_str_find(peri_exchange_body(x), PERI_STR("\"stream\":true")) >= 0;
    peri_buf_init(&text, 0);
    if (is_stream) {
        for (int i = 0; i < 3; i++) put_chunk(&text, &none);
        put(&text, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                   "data: [DONE]\n\n");
    } else {
        put_whole(&text, &none);
    }
    peri_testbed_ended(r->bed, id);
    peri_exchange_answer(x, 200, is_stream ? &sse : &json, 1, peri_buf_str(&text));
    peri_buf_done(&text);
}

static inline void rig_answer(struct rig *r, uint64_t id, struct peri_exchange *x) {
    struct peri_buf text;
    if (x == NULL || peri_exchange_is_started(x)) return;
    peri_buf_init(&text, 0);
    int status = feed_status(r->feed);
    const struct peri_header *type = feed_type(r->feed);
    put_whole(&text, r->feed);
    peri_testbed_ended(r->bed, id);
    peri_exchange_answer(x, status, type, 1, peri_buf_str(&text));
    peri_buf_done(&text);
}

/* Bytes of an answer, framed or bare. */
static inline void rig_write(struct rig *r, struct peri_exchange *x) {
    if (x == NULL) return;
    struct peri_buf text;
    enum peri_err err;
    unsigned count = feed_byte(r->feed);
    peri_buf_init(&text, 0);
    if (count >= 250) {
        put(&text, "HTTP/1.1 200 OK\r\n");
        put_str(&text, feed_bytes(r->feed, feed_byte(r->feed)));
        err = peri_exchange_raw(x, peri_buf_str(&text));
    } else {
        if (!peri_exchange_is_started(x))
            peri_exchange_start(x, feed_status(r->feed), feed_type(r->feed), 1,
                                PERI_LENGTH_UNKNOWN);
        for (unsigned i = 0; i <= count % 8; i++) put_chunk(&text, r->feed);
        err = peri_exchange_write(x, peri_buf_str(&text));
        if (err == PERI_OK || err == PERI_EFULL) peri_exchange_flush(x);
    }
    peri_buf_done(&text);
    (void)err; /* a dead connection is heard of by PERI_BED_GONE */
}

static inline void rig_finish(struct rig *r, uint64_t id, struct peri_exchange *x) {
    if (x == NULL) return;
    unsigned way = feed_byte(r->feed) % 4;
    peri_testbed_ended(r->bed, id);
    if (way == 3)
        peri_exchange_reset(x);
    else if (way == 2 || !peri_exchange_is_started(x))
        peri_exchange_abort(x);
    else
        peri_exchange_end(x);
}

static inline void rig_requested(struct rig *r, const struct peri_bed_event *e) {
    struct peri_exchange *x = e->exchange;
    for (size_t i = 0; i < peri_exchange_header_count(x); i++) /* what is the client's stays here */
        demand(peri_str_find(peri_exchange_header_at(x, i).value, PERI_STR(RIG_CLIENT)) < 0);
    size_t way = r->mood == RIG_WILLING ? 0 : r->mood == RIG_SILENT ? 3 : feed_below(r->feed, 6);
    switch (way) {
    case 0: rig_serve(r, e->id, x); return;
    case 1: rig_answer(r, e->id, x); return;
    case 2: rig_finish(r, e->id, x); return;
    default: break;
    }
    if (r->held_count < RIG_HELD) r->held[r->held_count++] = e->id;
}

static bool rig_told(void *arg, const struct peri_bed_event *e) {
    struct rig *r = arg;
    if (e->kind == PERI_BED_REQUEST) rig_requested(r, e);
    return !r->is_refusing;
}

/* The newest exchange that is held or another one; NULL: it is over. */
static inline struct peri_exchange *rig_held(struct rig *r, uint64_t *id) {
    size_t back = feed_below(r->feed, 4);
    if (r->held_count == 0) return NULL;
    *id = r->held[r->held_count - 1 - back % r->held_count];
    return peri_testbed_exchange(r->bed, *id);
}

/* ---- Clients ---- */

static inline struct peri_worker *rig_worker(struct rig *r) {
    return peri_testbed_router(r->bed)->runtime->workers[0];
}

static inline struct rig_line *rig_line(struct rig *r, size_t i) {
    struct rig_line *line = &r->lines[i % RIG_LINES];
    static const struct peri_addr peer = { .n = 0 };
    int ends[2];
    if (line->fd >= 0) return line;
    demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    demand(peri_worker_adopt(rig_worker(r), ends[1], &peer) == PERI_OK);
    line->fd = ends[0];
    line->is_slow = false;
    peri_buf_clear(&line->seen);
    return line;
}

static inline void rig_hang_up(struct rig_line *line) {
    if (line->fd >= 0) close(line->fd);
    line->fd = -1;
}

/* What the router says is HTTP, and no header of it carries what would be another one. */
static inline void rig_check_head(struct peri_str seen) {
    ptrdiff_t end = peri_str_find(seen, PERI_STR("\r\n\r\n"));
    demand(peri_str_has_prefix(seen, PERI_STR("HTTP/1.1 ")));
    for (ptrdiff_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)seen.p[i];
        if (c == '\r') {
            demand(seen.p[++i] == '\n');
            continue;
        }
        demand((c >= 0x20 || c == '\t') && c != 0x7f);
    }
}

static inline void rig_check_seen(struct rig_line *line) {
    struct peri_str seen = peri_buf_str(&line->seen);
    if (seen.n < 9) return;
    rig_check_head(seen);
    demand(peri_str_find(seen, PERI_STR(RIG_KEY)) < 0);
}

/* Read what is there. gives whether there was something */
static inline bool rig_read(struct rig *r) {
    static char bytes[65536];
    bool has_read = false;
    for (size_t i = 0; i < RIG_LINES; i++) {
        struct rig_line *line = &r->lines[i];
        if (line->fd < 0 || line->is_slow) continue;
        ssize_t n;
        while ((n = recv(line->fd, bytes, sizeof bytes, 0)) > 0) {
            has_read = true;
            if (line->seen.n + (size_t)n <= RIG_SEEN_MAX)
                put_str(&line->seen, (struct peri_str){ bytes, (size_t)n });
        }
        if (n == 0) {
            rig_check_seen(line);
            rig_hang_up(line);
        }
    }
    return has_read;
}

static inline void rig_settle(struct rig *r) {
    do peri_testbed_settle(r->bed);
    while (rig_read(r));
}

static inline void rig_advance(struct rig *r, uint64_t ms) {
    peri_testbed_advance(r->bed, ms);
    rig_settle(r);
}

static inline void rig_send(struct rig *r, struct rig_line *line, struct peri_str bytes) {
    while (bytes.n > 0 && line->fd >= 0) {
        ssize_t n = send(line->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n > 0) bytes = peri_str_from(bytes, (size_t)n);
        rig_settle(r);
        if (n <= 0) return; /* the router does not read on */
    }
}

static inline void rig_post(struct rig *r, struct rig_line *line, const char *path,
                            const char *headers, struct peri_str body) {
    struct peri_buf text;
    peri_buf_init(&text, 0);
    demand(peri_buf_addf(&text,
                         "POST %s HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer " RIG_CLIENT "\r\n"
                         "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
                         path, body.n, headers) == PERI_OK);
    put_str(&text, body);
    rig_send(r, line, peri_buf_str(&text));
    peri_buf_done(&text);
}

/* A body that the router can at least read, and what the input adds to it. */
static inline void put_body(struct peri_buf *out, struct feed *f) {
    static const char *const heads[] = {
        "{'model':'m','messages':[{'role':'user','content':'hi'}]",
        "{'model':'m','stream':true,'messages':[{'role':'user','content':'hi'}]",
        ("{'model':'kimi-k2','stream':true,'messages':[{'role':'assistant','content':null,"
         "'tool_calls':[{'id':'c1','type':'function','function':{'name':'f',"
         "'arguments':'{}'}}]},{'role':'tool','tool_call_id':'c1','content':'1'}],"
         "'tools':[{'type':'function','function':{'name':'f',"
         "'parameters':{'type':'object'}}}]"),
        ("{'model':'qwen3','messages':[{'role':'user','content':[{'type':'text',"
         "'text':'a'}]}],'response_format':{'type':'json_schema',"
         "'json_schema':{'name':'n','schema':{'type':'object',"
         "'properties':{'a':{'$ref':'#/$defs/b'}},'$defs':{'b':{'type':'string'}}}}}"),
        "{'model':'m','prompt':'a'",
        "{'model':'m','input':['a']"

    };
    unsigned kind = feed_byte(f);
    if (kind >= 240) {
        put_json(out, f, 5);
        return;
    }
    if (kind < 160) {
        put_quoted(out, heads[kind % (sizeof heads / sizeof *heads)]);
    } else {
        put(out, "{\"model\":");
        put_json_string(out, f);
        put(out, ",\"messages\":");
        put_json(out, f, 5);
        if ((kind & 1) != 0) put(out, ",\"stream\":true");
    }
    size_t count = feed_below(f, 8);
    if (count > 0) put(out, ",");
    put_json_members(out, f, 4, count);
    put(out, "}");
}

static inline const char *feed_path(struct feed *f) {
    static const char *const paths[] = { "/v1/chat/completions", "/v1/completions",
                                         "/v1/embeddings", "/v1/models/m", "/v1/nowhere" };
    return PICK(f, paths);
}

static inline const char *feed_headers(struct feed *f) {
    static const char *const headers[] = {
        "",
        "x-perilune-reasoning: reasoning_content\r\n",
        "x-perilune-reasoning: split\r\n",
        "Connection: close\r\n",
        "x-request-id: \x01\r\n",
        "x-request-id: r-1\r\nx-stainless-retry-count: 1\r\n",
        "Expect: 100-continue\r\n",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    };
    return PICK(f, headers);
}

static inline void rig_ask(struct rig *r, size_t line) {
    struct peri_buf body;
    peri_buf_init(&body, 0);
    const char *path = feed_path(r->feed), *headers = feed_headers(r->feed);
    put_body(&body, r->feed);
    rig_post(r, rig_line(r, line), path, headers, peri_buf_str(&body));
    peri_buf_done(&body);
}

/* ---- One thing after the other ---- */

/* Something happens between clients, router and providers, as the next bytes say. */
static inline void rig_act(struct rig *r) {
    static const uint64_t spans[] = { 0, 1, 50, 1000, 10000, 60000, 600000 };
    unsigned what = feed_byte(r->feed);
    size_t line = what >> 4;
    uint64_t id = 0;
    struct peri_exchange *x;
    switch (what & 15) {
    case 0:
    case 1:
    case 2: rig_ask(r, line); break;
    case 3: rig_send(r, rig_line(r, line), feed_bytes(r->feed, feed_byte(r->feed))); break;
    case 4: rig_hang_up(&r->lines[line % RIG_LINES]); break;
    case 5: shutdown(rig_line(r, line)->fd, SHUT_WR); break;
    case 6: rig_line(r, line)->is_slow = (line & 8) != 0; break;
    case 7: r->is_refusing = (line & 1) != 0; break;
    case 8: rig_advance(r, PICK(r->feed, spans)); break;
    case 9:
    case 10:
        x = rig_held(r, &id);
        rig_answer(r, id, x);
        break;
    case 11:
        x = rig_held(r, &id);
        rig_finish(r, id, x);
        break;
    default:
        x = rig_held(r, &id);
        rig_write(r, x);
        break;
    }
    rig_settle(r);
}

/* ---- Life ---- */

/* What the router logged so far. */
static inline void rig_show(struct rig *r) {
    struct peri_buf log;
    peri_buf_init(&log, 0);
    demand(peri_testbed_log(r->bed, &log) == PERI_OK);
    printf("%.*s", PERI_STR_ARGS(peri_buf_str(&log)));
    peri_buf_done(&log);
}

static inline void rig_open(struct rig *r, const char *config) {
    struct peri_fault fault;
    *r = (struct rig){ .bed = NULL };
    for (size_t i = 0; i < RIG_LINES; i++) {
        r->lines[i].fd = -1;
        peri_buf_init(&r->lines[i].seen, 0);
    }
    enum peri_err err = PERI_EBUDGET;
    /* The address sanitizer clears up when it likes: that may use up a budget of few milliseconds. While a state opens its own
     * libraries that is told as PERI_ENOMEM. */
    for (int i = 0; i < 8 && (err == PERI_EBUDGET || err == PERI_ENOMEM); i++)
        err = peri_testbed_new(&r->bed, config, rig_told, r, &fault);
    if (err != PERI_OK) fprintf(stderr, "%s\n", fault.text);
    demand(err == PERI_OK);
}

/* With whatever is under way. */
static inline void rig_close(struct rig *r) {
    if (r->bed == NULL) return;
    peri_testbed_free(r->bed);
    for (size_t i = 0; i < RIG_LINES; i++) {
        rig_hang_up(&r->lines[i]);
        peri_buf_done(&r->lines[i].seen);
    }
    r->bed = NULL;
}

/* The same, and none of its memory is left. */
static inline void rig_close_checked(struct rig *r) {
    rig_close(r);
    demand(__lsan_do_recoverable_leak_check() == 0);
}

static inline void rig_check_base(struct rig *r) {
    struct peri_worker *w = rig_worker(r);
    demand(w->env.request_count == 0);
    demand(w->env.queued == 0);
    demand(atomic_load(&w->runtime->waiting) == 0);
    for (size_t i = 0; i < w->env.fleet->provider_count; i++)
        demand(atomic_load(&w->env.fleet->providers[i].vitals->in_flight) == 0);
    if (w->env.policy != NULL) {
        const struct peri_policy_lua *set = w->env.policy->self;
        demand(set->state->waiting_count == 0);
        demand(set->state->task == NULL);
    }
    int fd = dup(0); /* the lowest that is free */
    demand(fd >= 0 && fd < RIG_FD_MAX);
    close(fd);
}

/* Every client leaves, and nothing of what they asked for is left. */
static inline void rig_rest(struct rig *r) {
    struct feed none = { NULL, NULL };
    r->feed = &none;
    rig_settle(r);
    for (size_t i = 0; i < RIG_LINES; i++) {
        rig_check_seen(&r->lines[i]);
        rig_hang_up(&r->lines[i]);
    }
    rig_settle(r);
    rig_check_base(r);
    r->held_count = 0;
    r->is_refusing = false;
    /* Rests and idle connections end. */
    rig_advance(r, 3600000);
}

/* The router is told to stop: what is under way has the drain time, and then it is over. The loop of a router that is done does
 * not settle any more, so it is turned by hand. */
static inline void rig_stop(struct rig *r) {
    struct peri_worker *w = rig_worker(r);
    struct peri_loop *loop = w->env.loop;
    peri_router_stop(peri_testbed_router(r->bed));
    for (int i = 0; i < 100000 && !w->is_done; i++) {
        uint64_t next = peri_loop_next_ms(loop);
        peri_loop_advance(loop, next == UINT64_MAX ? 1 : next);
        peri_loop_step(loop, false);
        rig_read(r);
    }
    demand(w->is_done);
    rig_check_base(r);
}

#endif
