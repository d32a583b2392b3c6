#include "gonka/epoch_webhook.h"

#include "net/client/upstream_test.h"

#define HOST  "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
#define TAKEN "HTTP/1.1 204 No Content\r\n\r\n"

struct rig {
    struct peri_loop *loop;
    struct peri_client *client;
    struct peri_log log;
    FILE *lines;
    struct upstream receiver;
    struct peri_config_gonka options;
    struct peri_config_provider provider;
    struct peri_epoch_webhook_env env;
    struct peri_epoch_webhook *webhook;
};

static void rig_open(struct rig *r, const char *script) {
    *r = (struct rig){ .lines = tmpfile() };
    CHECK_EQ(peri_loop_new(&r->loop), PERI_OK);
    CHECK_EQ(peri_client_new(&r->client, r->loop, NULL), PERI_OK);
    upstream_open(&r->receiver, r->loop, script);
    peri_log_init(&r->log, fileno(r->lines), PERI_LOG_DEBUG, &peri_clock_real);
    r->options.epoch_webhook = (struct peri_secret){ r->receiver.url, strlen(r->receiver.url) };
    r->provider =
        (struct peri_config_provider){ .id = PERI_STR("g"), .network_options = &r->options };
    r->env = (struct peri_epoch_webhook_env){
        .loop = r->loop, .client = r->client, .log = &r->log, .clock = &peri_clock_real
    };
    CHECK_EQ(peri_epoch_webhook_new(&r->webhook, &r->provider, &r->env), PERI_OK);
}

static void rig_close(struct rig *r) {
    peri_epoch_webhook_free(r->webhook);
    upstream_close(&r->receiver);
    peri_client_free(r->client);
    peri_loop_free(r->loop);
    peri_log_done(&r->log);
    fclose(r->lines);
}

/* How often the log has that text. */
static int said(struct rig *r, const char *text) {
    char line[8192];
    int count = 0;
    rewind(r->lines);
    while (fgets(line, sizeof line, r->lines) != NULL) count += strstr(line, text) != NULL;
    return count;
}

static void tell(struct rig *r, uint64_t epoch) {
    struct peri_gonka_participant host = { .address = PERI_STR(HOST) };
    struct peri_gonka_delta delta = { .change = PERI_GONKA_ADDED, .after = &host };
    struct peri_gonka_diff diff = { .deltas = &delta, .count = 1, .counts = { 0, 0, 1, 0 } };
    struct peri_gonka_set after = { .epoch = epoch };
    peri_epoch_webhook_tell(r->webhook, &diff, NULL, &after);
}

static uint64_t epochs[64]; /* in the order they were told */

static void note_epoch(struct line *l, int request) {
    struct upstream *up = l->up;
    const char *at = strstr(up->head, "\"new_epoch\":");
    (void)request;
    CHECK(at != NULL && up->requests <= 64);
    CHECK(strstr(up->head, "\"added\":[\"" HOST "\"]") != NULL);
    if (at != NULL && up->requests <= 64)
        epochs[up->requests - 1] = strtoul(at + strlen("\"new_epoch\":"), NULL, 10);
    line_send(l, TAKEN);
}

TEST(without_a_url_there_is_no_webhook) {
    struct peri_config_gonka options = { .key_count = 0 };
    struct peri_config_provider provider = { .network_options = &options };
    struct peri_epoch_webhook *w = (void *)&options;
    CHECK_EQ(
        peri_epoch_webhook_new(&w, &provider, &(struct peri_epoch_webhook_env){ .loop = NULL }),
        PERI_OK);
    CHECK(w == NULL);
}

/* The first one keeps its place, as it may be on its way; of the others the newest stay. */
TEST(what_waits_is_bounded_and_the_newest_are_told) {
    struct rig r;
    const int told = PERI_EPOCH_WEBHOOK_QUEUE + 1, all = 40;
    rig_open(&r, NULL);
    r.receiver.answer = note_epoch;
    for (int i = 1; i <= all; i++) tell(&r, (uint64_t)i);
    CHECK_EQ(r.receiver.requests, 0); /* nothing is sent inside the call */
    CHECK_EQ(said(&r, "epoch webhook left out"), all - told);
    UNTIL(r.loop, said(&r, "epoch webhook told") == told);
    CHECK_EQ(r.receiver.requests, told);
    CHECK_EQ(epochs[0], 1);
    for (int i = 1; i < told; i++) CHECK_EQ(epochs[i], all - told + i + 1);
    tell(&r, 99); /* and it goes on */
    UNTIL(r.loop, said(&r, "epoch webhook told") == told + 1);
    rig_close(&r);
}

TEST(an_answer_that_is_too_long_is_taken_by_its_status) {
    struct rig r;
    static char script[100000 + 64];
    int head = snprintf(script, sizeof script, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    memset(script + head, 'x', 100000);
    rig_open(&r, script);
    tell(&r, 1);
    UNTIL(r.loop, said(&r, "epoch webhook told") == 1);
    rig_close(&r);
}

TEST(memory_that_runs_out_takes_a_change_and_no_more) {
    struct rig r;
    rig_open(&r, TAKEN);
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_epoch_webhook *w = NULL;
        char key[] = "k";
        r.options.epoch_webhook_key = (struct peri_secret){ key, 1 };
        enum peri_err err = peri_epoch_webhook_new(&w, &r.provider, &r.env);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        struct peri_epoch_webhook *kept = r.webhook;
        r.webhook = w;
        if (err == PERI_OK) tell(&r, 1);
        peri_epoch_webhook_free(w);
        r.webhook = kept;
    }
    tell(&r, 2);
    UNTIL(r.loop, said(&r, "epoch webhook told") == 1);
    rig_close(&r);
}
