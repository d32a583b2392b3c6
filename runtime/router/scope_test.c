/* Whatever one client's requests are refused with, another client's request to a healthy model is answered. */
#include "router/rig_test.h"

#include "base/rand.h"
#include "base/test.h"

#define REFUSALS 10000
#define HEALTHY  "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
#define OK       SSE ROLE WORD STOP DONE
#define FAILED   "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n"

struct odd {
    struct peri_rand rand;
    char script[2048], body[256];
    int status; /* of the refusal */
};

static uint64_t draw(struct odd *o, uint64_t below) { return peri_rand_below(&o->rand, below); }

/* The kinds of the table in the design: the request, a model, an endpoint, a key, the moment, a network. */
static void make_refusal(struct odd *o) {
    static const int statuses[] = { 400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 411,
                                    413, 415, 417, 421, 422, 425, 426, 429, 431, 451, 500,
                                    501, 502, 503, 504, 520, 522, 524, 529, 200, 302 };
    static const char *const words[] = { "",
                                         "model_not_found",
                                         "invalid_api_key",
                                         "insufficient_quota",
                                         "rate_limit_exceeded",
                                         "context_length_exceeded",
                                         "content_policy_violation",
                                         "server_error",
                                         "overloaded_error",
                                         "RESOURCE_EXHAUSTED",
                                         "m" };
    static const char *const texts[] = { "The model `%s` does not exist",
                                         "Invalid URL (POST /v1/chat/completions) for %s",
                                         "Rate limit reached for %s. Please try again in 20s.",
                                         "API key not valid, said %s",
                                         "flagged: %s",
                                         "maximum context length of %s is 4" };
    static const char *const heads[] = { "", "", "Retry-After: 30\r\n", "retry-after-ms: 20\r\n" };
    static const char *const names[] = { "odd", "m ", "Invalid URL", "M", "another", "m2" };
    char text[128], body[512];
    const char *name = names[draw(o, sizeof names / sizeof *names)];
    o->status = statuses[draw(o, sizeof statuses / sizeof *statuses)];
    snprintf(o->body, sizeof o->body, "{\"model\":\"%s%d\",\"messages\":[]}", name,
             (int)draw(o, 40));
    snprintf(text, sizeof text, texts[draw(o, sizeof texts / sizeof *texts)], name);
    switch (draw(o, 6)) {
    case 0: snprintf(body, sizeof body, "<html><title>%s</title></html>", text); break;
    case 1: snprintf(body, sizeof body, "{\"detail\":\"Not Found\"}"); break;
    case 2: body[0] = '\0'; break;
    default:
        snprintf(body, sizeof body,
                 "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
                 text, words[draw(o, sizeof words / sizeof *words)],
                 words[draw(o, sizeof words / sizeof *words)]);
    }
    snprintf(o->script, sizeof o->script,
             "HTTP/1.1 %d Odd\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
             o->status, heads[draw(o, sizeof heads / sizeof *heads)], strlen(body), body);
}

static void send_odd(struct rig *r, struct odd *o) {
    static const char *const paths[] = { "/v1/chat/completions", "/v1/chat/completions",
                                         "/v1/completions", "/v1/embeddings" };
    make_refusal(o);
    r->a.script = o->script;
    r->b.script = draw(o, 2) == 0 ? o->script : FAILED;
    peri_buf_clear(&r->got);
    r->heads = r->ends = 0;
    CHECK_EQ(
        peri_router_send(NULL, r->router, paths[draw(o, 4)], peri_str_of(o->body), &answer_ops, r),
        PERI_OK);
    RIG_UNTIL(r, r->ends > 0);
}

TEST(router_never_refuses_a_healthy_model_for_what_another_client_asked) {
    struct odd o = { .status = 0 };
    struct rig r;
    int asked = 0;
    rig_open(&r, ",\"route\":{\"retry\":{\"attempts\":0}}", "", NULL);
    peri_rand_seed(&o.rand, 20261130);
    for (int i = 0; i < REFUSALS; asked++) {
        for (uint64_t n = draw(&o, 6) + 1; n > 0; n--, i++) send_odd(&r, &o);
        if (draw(&o, 4) == 0) peri_loop_advance(r.worker->env.loop, draw(&o, 40000));
        r.a.script = OK;
        r.b.script = FAILED;
        CHECK_EQ(rig_send(&r, HEALTHY), PERI_OK);
        RIG_UNTIL(&r, r.ends > 0);
        CHECK_EQ(r.status, 200);
        if (r.status != 200)
            printf("after %d refusals, the last a %d:\n%s\n%s\n", i, o.status, o.script, o.body);
        if (r.status != 200) break;
    }
    CHECK(asked > 1000);
    rig_close(&r);
}
