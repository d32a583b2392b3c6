#include "script/policy/sample.h"

#include <string.h>

#include "base/err.h"
#include "base/json_text.h"
#include "dialect/dialect.h"
#include "net/server/server.h"
#include "router/router.h"
#include "router/testbed.h"

#define PATIENCE_MS 60000 /* of the bed's clock: as long as a policy may sleep in a sample */

struct sample {
    struct peri_testbed *bed;
    bool is_done;
};

/* ---- The world ---- */

static const char whole[] =
    "{\"id\":\"chatcmpl-sample\",\"object\":\"chat.completion\",\"created\":1767225600,\"model\":"
    "\"sample\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello "
    "there.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,"
    "\"total_tokens\":12}}";

static const char embedded[] =
    "{\"object\":\"list\",\"model\":\"sample\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
    "\"embedding\":[0.25,-0.5]}],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}";

#define CHUNK(delta, reason)                                                                       \
    "data: {\"id\":\"chatcmpl-sample\",\"object\":\"chat.completion.chunk\",\"created\":"          \
    "1767225600,\"model\":\"sample\",\"choices\":[{\"index\":0,\"delta\":" delta                   \
    ",\"finish_reason\":" reason "}]}\n\n"

static const char streamed[] = CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
    CHUNK("{\"content\":\"Hello \"}", "null") CHUNK("{\"content\":\"there.\"}", "null")
        CHUNK("{}", "\"stop\"") PERI_STREAM_END_FRAME;

static bool holds(struct peri_str text, const char *part) {
    return text.n > 0 && memmem(text.p, text.n, part, strlen(part)) != NULL;
}

static void answer_request(struct sample *s, const struct peri_bed_event *event) {
    static const struct peri_header json[] = { { PERI_STR_INIT("content-type"),
                                                 PERI_STR_INIT("application/json") } };
    static const struct peri_header events[] = { { PERI_STR_INIT("content-type"),
                                                   PERI_STR_INIT("text/event-stream") } };
    bool is_stream = holds(peri_exchange_body(event->exchange), "\"stream\":true");
    bool is_embedding = holds(peri_exchange_path(event->exchange), "/embeddings");
    peri_testbed_ended(s->bed, event->id);
    peri_exchange_answer(event->exchange, 200, is_stream ? events : json, 1,
                         peri_str_of(is_stream      ? streamed
                                     : is_embedding ? embedded
                                                    : whole));
}

static bool on_event(void *arg, const struct peri_bed_event *event) {
    struct sample *s = arg;
    if (event->kind == PERI_BED_REQUEST) answer_request(s, event);
    if (event->kind == PERI_BED_DONE) s->is_done = true;
    return event->kind == PERI_BED_DIAL && event->port > 0;
}

/* ---- The configuration ---- */

static void put_ms(struct peri_buf *b, const char *name, uint64_t ms) {
    char text[32];
    int n = snprintf(text, sizeof text, "%llums", (unsigned long long)ms);
    peri_json_put_string_member(b, name, (struct peri_str){ text, (size_t)n });
}

static void put_providers(struct peri_buf *b, const struct peri_config *config) {
    peri_json_put_name(b, "providers");
    peri_json_put_open(b, '[');
    for (size_t i = 0; i < config->provider_count; i++) {
        char url[64];
        int n = snprintf(url, sizeof url, "http://192.0.2.1:%u/v1", (unsigned)(i % 65535) + 1);
        peri_json_put_open(b, '{');
        peri_json_put_string_member(b, "id", config->providers[i].id);
        peri_json_put_string_member(b, "url", (struct peri_str){ url, (size_t)n });
        peri_json_put_name(b, "tier");
        peri_json_put_int(b, (int64_t)config->providers[i].tier);
        peri_json_put_close(b, '}');
    }
    peri_json_put_close(b, ']');
}

static void put_policies(struct peri_buf *b, const struct peri_config *config) {
    peri_json_put_name(b, "policies");
    peri_json_put_open(b, '[');
    for (size_t i = 0; i < config->policy_count; i++) {
        const struct peri_config_policy *p = &config->policies[i];
        peri_json_put_open(b, '{');
        peri_json_put_string_member(b, "file", p->path);
        peri_json_put_name(b, "options");
        peri_json_put_raw(b, p->options.n > 0 ? p->options : PERI_STR("{}"));
        peri_json_put_close(b, '}');
    }
    peri_json_put_close(b, ']');
    peri_json_put_name(b, "policy");
    peri_json_put_open(b, '{');
    put_ms(b, "budget", config->policy_budget_ms);
    put_ms(b, "budget_per_mib", config->policy_mib_ms);
    put_ms(b, "request_budget", config->policy_request_ms);
    put_ms(b, "second_budget", config->policy_second_ms);
    peri_json_put_count_member(b, "instructions", config->policy_instructions);
    peri_json_put_count_member(b, "memory", config->policy_memory_bytes);
    peri_json_put_close(b, '}');
    peri_json_put_name(b, "limits");
    peri_json_put_open(b, '{');
    peri_json_put_count_member(b, "request_memory", config->request_memory);
    peri_json_put_close(b, '}');
}

static struct peri_str sample_model(const struct peri_config *config) {
    if (config->default_model.n > 0) return config->default_model;
    for (size_t i = 0; i < config->provider_count; i++)
        if (config->providers[i].model_count > 0) return config->providers[i].models[0].name;
    return PERI_STR("sample-model");
}

/* ---- The run ---- */

/* What is asked, behind the model's name: the plainest there is, and shapes of the API that policies forget. */
static const struct {
    const char *path, *rest;
} requests[] = {
    { "/v1/chat/completions",
      "\"messages\":[{\"role\":\"user\",\"content\":\"Say hello.\"}],\"max_tokens\":64,"
      "\"temperature\":0.5,\"stream\":false}" },
    { "/v1/chat/completions",
      "\"messages\":[{\"role\":\"user\",\"content\":\"Say hello.\"}],\"max_tokens\":64,"
      "\"temperature\":0.5,\"stream\":true}" },
    { "/v1/chat/completions",
      "\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"Be "
      "brief.\"}]},"
      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is the time?\"}]},"
      "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":"
      "\"function\",\"function\":{\"name\":\"clock\",\"arguments\":\"{}\"}}]},"
      "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"noon\"}],"
      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"clock\",\"parameters\":{\"type\":"
      "\"object\",\"properties\":{}}}}],\"stop\":null}" },
    { "/v1/embeddings", "\"input\":[\"Say hello.\",\"Say it again.\"]}" },
};
#define REQUESTS (sizeof requests / sizeof *requests)

static enum peri_err ask_router(struct sample *s, struct peri_str model, size_t which) {
    static const struct peri_header json[] = { { PERI_STR_INIT("content-type"),
                                                 PERI_STR_INIT("application/json") } };
    struct peri_buf body;
    uint64_t id;
    peri_buf_init(&body, 0);
    peri_json_put_open(&body, '{');
    peri_json_put_string_member(&body, "model", model);
    peri_json_put_raw(&body, peri_str_of(requests[which].rest));
    enum peri_err err = body.err;
    if (err == PERI_OK)
        err = peri_testbed_ask(s->bed, &id, PERI_STR("POST"), peri_str_of(requests[which].path),
                               peri_buf_str(&body), json, 1);
    peri_buf_done(&body);
    if (err != PERI_OK) return err;
    s->is_done = false;
    uint64_t until = peri_testbed_now_ms(s->bed) + PATIENCE_MS;
    peri_testbed_settle(s->bed);
    while (!s->is_done) {
        uint64_t ms = peri_testbed_next_ms(s->bed);
        if (ms == UINT64_MAX || peri_testbed_now_ms(s->bed) + ms > until) break;
        peri_testbed_advance(s->bed, ms);
    }
    peri_testbed_hang_up(s->bed, id);
    peri_testbed_settle(s->bed);
    return PERI_OK;
}

static void change_epoch(struct sample *s, const struct peri_config *config) {
    static const struct peri_str hosts[] = { PERI_STR_INIT("gonka1sample") };
    const struct peri_policy *p = peri_testbed_router(s->bed)->runtime->workers[0]->env.policy;
    struct peri_epoch_change change = { .network = config->providers[0].id,
                                        .old_epoch = 1,
                                        .new_epoch = 2,
                                        .added = hosts,
                                        .added_count = 1 };
    if (p != NULL && p->ops->epoch != NULL) p->ops->epoch(p->self, &change);
}

static struct peri_str string_member(struct peri_json *j, const char *name,
                                     struct peri_arena *arena) {
    uint32_t at = peri_json_get(j, peri_json_root(j), peri_str_of(name));
    bool is_text = at != PERI_JSON_NONE && peri_json_kind(j, at) == PERI_JSON_STRING;
    return is_text ? peri_json_string(j, at, arena) : PERI_STR("");
}

/* The log tells of hooks that failed. */
static enum peri_err read_log(struct sample *s, struct peri_buf *faults) {
    struct peri_buf log;
    struct peri_arena arena;
    peri_buf_init(&log, 0);
    peri_arena_init(&arena, 0);
    enum peri_err err = peri_testbed_log(s->bed, &log);
    struct peri_str rest = peri_buf_str(&log), line;
    while (err == PERI_OK && peri_str_cut(&line, &rest, '\n')) {
        struct peri_json *j;
        if (!holds(line, "\"policy failed") || peri_json_parse(&j, line, NULL, NULL) != PERI_OK)
            continue;
        struct peri_str hook = string_member(j, "hook", &arena),
                        why = string_member(j, "detail", &arena);
        if (why.n == 0) why = string_member(j, "msg", &arena);
        if (hook.n > 0) peri_buf_addf(faults, "%.*s: ", PERI_STR_ARGS(hook));
        peri_buf_add(faults, why);
        peri_buf_add_char(faults, '\n');
        peri_json_free(j);
    }
    peri_arena_done(&arena);
    peri_buf_done(&log);
    return err == PERI_OK ? faults->err : err;
}

static enum peri_err open_bed(struct sample *s, const struct peri_config *config,
                              struct peri_fault *fault) {
    struct peri_buf json;
    peri_buf_init(&json, 0);
    peri_json_put_open(&json, '{');
    put_providers(&json, config);
    put_policies(&json, config);
    peri_json_put_close(&json, '}');
    peri_buf_add_char(&json, '\0');
    enum peri_err err = json.err;
    if (err == PERI_OK) err = peri_testbed_new(&s->bed, json.p, on_event, s, fault);
    peri_buf_done(&json);
    return err;
}

static enum peri_err run_samples(struct sample *s, const struct peri_config *config) {
    struct peri_str model = sample_model(config);
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < REQUESTS && err == PERI_OK; i++) err = ask_router(s, model, i);
    if (err == PERI_OK) change_epoch(s, config);
    return err;
}

enum peri_err peri_sample_run(const struct peri_config *config, struct peri_meter *meter,
                              struct peri_buf *faults, struct peri_fault *fault) {
    struct sample s = { NULL, false };
    if (config->policy_count == 0 || config->provider_count == 0) return PERI_OK;
    enum peri_err err = open_bed(&s, config, fault);
    if (err != PERI_OK) return err;
    peri_testbed_router(s.bed)->home.meter = meter;
    err = peri_router_reload(peri_testbed_router(s.bed), fault);
    if (err == PERI_OK) err = run_samples(&s, config);
    if (err == PERI_OK) err = read_log(&s, faults);
    peri_testbed_free(s.bed);
    return err;
}

/* ---- What the samples prove ---- */

static bool is_new(const struct peri_policy_program *program,
                   const struct peri_policy_program *current) {
    for (size_t i = 0; i < program->count; i++)
        if (current == NULL || i >= current->count || program->files[i] != current->files[i])
            return true;
    return false;
}

/* The files were read again, and may be others by now. */
static void take_proof(struct peri_policy_file *to, const struct peri_policy_file *from) {
    if (!peri_policy_file_is_same(to, from)) return;
    for (int i = 0; i < PERI_HOOK_COUNT; i++)
        if (atomic_load(&from->is_proven[i])) atomic_store(&to->is_proven[i], true);
}

void peri_sample_prove(const struct peri_config *config, struct peri_policy_program *program,
                       const struct peri_policy_program *current) {
    struct sample s = { NULL, false };
    struct peri_fault fault;
    if (config->provider_count == 0 || !is_new(program, current)) return;
    if (open_bed(&s, config, &fault) != PERI_OK) return;
    enum peri_err err = run_samples(&s, config);
    const struct peri_policy_program *tried = peri_testbed_router(s.bed)->runtime->program;
    for (size_t i = 0; err == PERI_OK && tried != NULL && i < program->count; i++)
        if (i < tried->count) take_proof(program->files[i]->file, tried->files[i]->file);
    peri_testbed_free(s.bed);
}
