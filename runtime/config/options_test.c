#include "config/options.h"

#include "base/test.h"
#include "config/config_json.h"
#include "config/options_reader.h"

struct fixture {
    struct peri_arena tree;
    struct peri_secret_box *box;
    struct peri_fault_list faults;
    struct peri_dump dump;
    struct peri_config *config;
    enum peri_err err;
};

static const char *no_variable(void *arg, const char *name) {
    (void)arg;
    return strcmp(name, "KEY") == 0 ? "sk-canary-of-the-test" : NULL;
}
static const struct peri_env env = { .get = no_variable };

static void open_json(struct fixture *f, const char *text) {
    struct peri_node *root = NULL;
    memset(f, 0, sizeof *f);
    peri_arena_init(&f->tree, 0);
    peri_dump_init(&f->dump);
    f->box = peri_secret_box_new(&env);
    f->err = PERI_ENOMEM;
    if (f->box == NULL) return;
    struct peri_options_context context = { .box = f->box, .dump = &f->dump };
    f->err =
        peri_config_json_read(&root, &f->tree, peri_str_of(text), PERI_STR("t.json"), &f->faults);
    if (f->err == PERI_OK) f->err = peri_options_read(&f->config, root, &context, &f->faults);
}

static void done(struct fixture *f) {
    peri_config_unref(f->config);
    peri_secret_box_free(f->box);
    peri_dump_done(&f->dump);
    peri_arena_done(&f->tree);
}

static void check_fault(const char *json, const char *text) {
    struct fixture f;
    open_json(&f, json);
    CHECK_EQ(f.err, PERI_ECONFIG);
    CHECK(f.config == NULL);
    CHECK(f.faults.count >= 1);
    CHECK_STR(peri_str_of(f.faults.faults[0].text), text);
    done(&f);
}

static const struct peri_dump_entry *entry(const struct fixture *f, const char *path) {
    for (const struct peri_dump_entry *e = f->dump.first; e != NULL; e = e->next)
        if (peri_str_eq(e->path, peri_str_of(path))) return e;
    return NULL;
}

TEST(options_defaults_are_those_of_the_header) {
    struct fixture f;
    open_json(&f, "{\"providers\":[]}");
    CHECK_EQ(f.err, PERI_OK);
    const struct peri_config *c = f.config;
    CHECK_EQ(c->listen_count, 1);
    CHECK_STR(c->listen[0], "127.0.0.1:9000");
    CHECK_EQ(c->workers, 0);
    CHECK_STR(c->log_level, "info");
    CHECK_STR(c->log_file, "-");
    CHECK_EQ(c->limits.header_bytes, 32768);
    CHECK_EQ(c->limits.header_lines, 100);
    CHECK_EQ(c->limits.uri_bytes, 8192);
    CHECK_EQ(c->limits.body_bytes, 33554432);
    CHECK_EQ(c->limits.connections, 16384);
    CHECK_EQ(c->limits.header_ms, 10000);
    CHECK_EQ(c->limits.body_ms, 30000);
    CHECK_EQ(c->limits.idle_ms, 75000);
    CHECK_EQ(c->limits.write_ms, 60000);
    CHECK_EQ(c->answer_bytes, 67108864);
    CHECK_EQ(c->timeouts.connect_ms, 5000);
    CHECK_EQ(c->timeouts.first_byte_ms, 60000);
    CHECK_EQ(c->timeouts.first_token_ms, 120000);
    CHECK_EQ(c->timeouts.idle_ms, 60000);
    CHECK_EQ(c->timeouts.total_ms, 600000);
    CHECK_EQ(c->drain_ms, 30000);
    CHECK_EQ(c->keepalive_ms, 0);
    CHECK_EQ(c->max_attempts, 3);
    CHECK_EQ(c->rate_limit_cooldown_ms, 60000);
    CHECK_EQ(c->failure_cooldown_ms, 15000);
    CHECK_EQ(c->quarantine_ms, 300000);
    CHECK_EQ(c->failures, 3);
    CHECK_EQ(c->failure_percent, 50);
    CHECK_EQ(c->failure_window_ms, 30000);
    CHECK_EQ(c->retry.attempts, 2);
    CHECK_EQ(c->retry.backoff_ms, 200);
    CHECK_EQ(c->retry.jitter, 50);
    CHECK_EQ(c->retry.wait_ms, 2000);
    CHECK(c->retry.statuses == NULL);
    CHECK_EQ(c->queue_max, 1000);
    CHECK_EQ(c->queue_ms, 10000);
    CHECK(c->overflow && c->watch_policies);
    CHECK_EQ(c->default_model.n, 0);
    CHECK_EQ(c->policy_budget_ms, 50);
    CHECK_EQ(c->policy_instructions, 10000000);
    CHECK_EQ(c->policy_memory_bytes, 67108864);
    CHECK_EQ(c->policy_failures, 5);
    CHECK_EQ(c->key_count + c->policy_count + c->provider_count + c->seed, 0);
    done(&f);
}

TEST(options_fill_a_provider) {
    struct fixture f;
    open_json(
        &f,
        "{\"timeouts\":{\"idle\":\"2m\"},\"providers\":[{\"id\":\"a\",\"url\":\"https://h/v1//\","
        "\"key\":\"env:KEY\",\"auth_header\":\"x-api-key\",\"tier\":2,\"weight\":7,\"http2\":true,"
        "\"timeouts\":{\"connect\":\"1s\"},\"headers\":{\"x-org\":\"o\",\"x-k\":{\"secret\":\"env:"
        "KEY\"}},"
        "\"models\":{\"m\":{\"upstream\":\"u\",\"aliases\":[\"n\"],\"context_tokens\":8192,"
        "\"capabilities\":[\"chat\",\"tools\"],\"price\":{\"input\":0.15,\"output\":2}},\"s\":"
        "\"t\"},"
        "\"tags\":[\"eu\",\"fast\"]}]}");
    CHECK_EQ(f.err, PERI_OK);
    CHECK_EQ(f.config->provider_count, 1);
    const struct peri_config_provider *p = f.config->providers;
    CHECK_STR(p->url, "https://h/v1");
    CHECK_EQ(p->auth, PERI_AUTH_HEADER);
    CHECK_STR(p->auth_header, "x-api-key");
    CHECK_STR(((struct peri_str){ p->key.p, p->key.n }), "sk-canary-of-the-test");
    CHECK_EQ(p->tier, 2);
    CHECK_EQ(p->weight, 7);
    CHECK(p->use_http2 && !p->is_insecure);
    CHECK_EQ(p->timeouts.connect_ms, 1000);
    CHECK_EQ(p->timeouts.idle_ms, 120000);
    CHECK_EQ(p->header_count, 2);
    CHECK_STR(p->headers[1].value, "sk-canary-of-the-test");
    CHECK_EQ(p->model_count, 3);
    CHECK_STR(p->models[1].name, "n");
    CHECK_STR(p->models[1].upstream, "u");
    CHECK_EQ(p->models[0].context_tokens, 8192);
    CHECK_EQ(p->models[0].capability_count, 2);
    CHECK_EQ(p->models[0].price_input_micros, 150000);
    CHECK_EQ(p->models[0].price_output_micros, 2000000);
    CHECK_STR(p->models[2].upstream, "t");
    CHECK_STR(p->tags, "eu,fast");
    CHECK_EQ(p->network.n, 0);
    CHECK(p->network_options == NULL);
    CHECK_STR(entry(&f, "providers[1].key")->value, "\"secret env:KEY\"");
    CHECK_STR(entry(&f, "providers[1].weight")->origin, "t.json:1");
    CHECK_STR(entry(&f, "timeouts.total")->origin, "default");
    for (const struct peri_dump_entry *e = f.dump.first; e != NULL; e = e->next)
        CHECK(peri_str_find(e->value, PERI_STR("canary")) < 0);
    done(&f);
}

#define GONKA_KEY     "0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef"
#define GONKA_ADDRESS "gonka15wgtkntdf26hqan77g0kdsldcxjddypxvas6v2"

TEST(options_fill_a_gonka_network) {
    struct fixture f;
    open_json(&f, "{\"providers\":[{\"id\":\"g\",\"network\":\"gonka\",\"source\":\"http://n:8000/"
                  "\",\"private_key\":"
                  "[\"" GONKA_KEY "\"],\"damping\":\"log\",\"verify_proofs\":true,\"trust_"
                  "validators\":\"v.json\",\"refresh_interval\":\"10s\","
                  "\"default_max_concurrent\":4,\"deny\":\"" GONKA_ADDRESS "\",\"tier\":2,"
                  "\"endpoints\":[\" http://h:1/ ; " GONKA_ADDRESS " \"]}]}");
    CHECK_EQ(f.err, PERI_OK);
    if (f.config == NULL) {
        done(&f);
        return;
    }
    const struct peri_config_provider *p = f.config->providers;
    const struct peri_config_gonka *g = p->network_options;
    CHECK_STR(p->network, "gonka");
    CHECK_EQ(p->auth, PERI_AUTH_NONE);
    CHECK_EQ(p->source_count, 1);
    CHECK_STR(p->sources[0], "http://n:8000");
    CHECK_EQ(p->endpoint_count, 1);
    CHECK_STR(p->endpoints[0], "http://h:1;" GONKA_ADDRESS);
    CHECK_EQ(p->key.n, 0);
    CHECK_EQ(g->key_count, 1);
    CHECK_STR(((struct peri_str){ g->keys[0].p, g->keys[0].n }), &GONKA_KEY[2]);
    CHECK_STR(g->prefix, "gonka:");
    CHECK_EQ(g->damping, PERI_DAMPING_LOG);
    CHECK(g->verify_proofs && g->is_refreshing && !g->is_legacy_signing &&
          !g->may_use_private_hosts);
    CHECK_EQ(g->refresh_ms, 10000);
    CHECK_EQ(g->default_max_concurrent, 4);
    CHECK_EQ(g->deny_count, 1);
    CHECK_EQ(g->allow_count, 0);
    done(&f);
}

TEST(options_take_files_as_sources_when_that_is_asked_for) {
    static const struct {
        const char *source, *more, *fault; /* NULL: fine */
    } rows[] = {
        { "file:///tmp/p.json", ",\"file_sources\":true", NULL },
        { "http://n:8000", ",\"file_sources\":true,\"verify_signatures\":true", NULL },
        { "file:///tmp/p.json", "", "'file_sources' = true" },
        { "file:///tmp/p.json", ",\"file_sources\":false", "'file_sources' = true" },
        { "file://p.json", ",\"file_sources\":true", "no whole path" },
        { "file://", ",\"file_sources\":true", "no whole path" },
        { "ftp://h/p.json", ",\"file_sources\":true", "http://" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        char json[512];
        snprintf(json, sizeof json,
                 "{\"providers\":[{\"id\":\"g\",\"network\":\"gonka\",\"source\":\"%s\","
                 "\"private_key\":\"" GONKA_KEY "\"%s}]}",
                 rows[i].source, rows[i].more);
        open_json(&f, json);
        CHECK_EQ(f.faults.count, rows[i].fault != NULL);
        if (rows[i].fault != NULL && f.faults.count > 0)
            CHECK(strstr(f.faults.faults[0].text, rows[i].fault) != NULL);
        if (f.config != NULL) {
            const struct peri_config_gonka *g = f.config->providers[0].network_options;
            CHECK(g->may_read_files);
            CHECK_EQ(g->verifies_signatures, i == 1);
        }
        done(&f);
    }
}

TEST(options_refuse_private_keys_that_are_none_without_showing_them) {
    static const char *const keys[] = {
        "0x00", "zz34567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        "12345678901234567890123456789012345678901234567890123456789012345"
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct fixture f;
        char json[512];
        snprintf(json, sizeof json,
                 "{\"providers\":[{\"id\":\"g\",\"network\":\"gonka\",\"source\":\"http://"
                 "n\",\"private_key\":\"%s\"}]}",
                 keys[i]);
        open_json(&f, json);
        CHECK_EQ(f.faults.count, 1);
        CHECK_STR(peri_str_of(f.faults.faults[0].text),
                  "t.json:1: 'providers[1].private_key' must be a private key: 64 hexadecimal "
                  "digits (32 bytes), "
                  "with or without 0x, from 1 to the order of secp256k1 less 1");
        done(&f);
    }
}

TEST(options_durations_have_units) {
    static const struct {
        const char *text;
        long long ms;
    } rows[] = { { "500ms", 500 },
                 { "30s", 30000 },
                 { "2m", 120000 },
                 { "1h", 3600000 },
                 { "1d", 86400000 },
                 { "0s", 0 },
                 { "s", -1 },
                 { "", -1 },
                 { "30", -1 },
                 { "30 s", -1 },
                 { "30S", -1 },
                 { "-1s", -1 },
                 { "1.5s", -1 },
                 { "1m30s", -1 },
                 { "18446744073709551615d", -1 },
                 { "99999999999999999999ms", -1 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ms;
        bool is_one = peri_option_duration(peri_str_of(rows[i].text), &ms);
        CHECK_EQ(is_one ? (long long)ms : -1, rows[i].ms);
    }
}

TEST(options_sizes_have_binary_units) {
    static const struct {
        const char *text;
        long long bytes;
    } rows[] = { { "64KiB", 65536 }, { "32MiB", 33554432 }, { "1GiB", 1073741824 },
                 { "7B", 7 },        { "64KB", -1 },        { "64K", -1 },
                 { "64 KiB", -1 },   { "MiB", -1 },         { "18446744073709551615GiB", -1 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bytes;
        bool is_one = peri_option_size(peri_str_of(rows[i].text), &bytes);
        CHECK_EQ(is_one ? (long long)bytes : -1, rows[i].bytes);
    }
}

TEST(options_urls_are_bases) {
    static const struct {
        const char *text, *url; /* NULL: refused */
    } rows[] = { { "https://api.openai.com/v1", "https://api.openai.com/v1" },
                 { "http://127.0.0.1:8000/v1///", "http://127.0.0.1:8000/v1" },
                 { "HTTP://h", "HTTP://h" },
                 { "http://h/", "http://h" },
                 { "http://[::1]:80/v1", "http://[::1]:80/v1" },
                 { "http://a_b.c-d:65535", "http://a_b.c-d:65535" },
                 { "ftp://h", NULL },
                 { "h/v1", NULL },
                 { "", NULL },
                 { "http://", NULL },
                 { "http:///v1", NULL },
                 { "http://u:p@h", NULL },
                 { "http://h?key=1", NULL },
                 { "http://h/#f", NULL },
                 { "http://h:0", NULL },
                 { "http://h:65536", NULL },
                 { "http://h:", NULL },
                 { "http://h:8o", NULL },
                 { "http://[::1", NULL },
                 { "http://[g]", NULL },
                 { "http://[::1]x", NULL },
                 { "http://h h", NULL },
                 { "http://h\nx", NULL },
                 { "http://\xc3\xa4", NULL },
                 { "http://.h", NULL },
                 { "http://h\\x", NULL } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peri_str out;
        size_t n = strlen(rows[i].text);
        char *text = test_guarded(rows[i].text, n);
        const char *expected = peri_option_url((struct peri_str){ text, n }, &out);
        CHECK_EQ(expected == NULL, rows[i].url != NULL);
        if (expected == NULL) CHECK_STR(out, rows[i].url);
        test_guarded_free(text, n);
    }
}

TEST(options_base_urls_are_taken_as_people_paste_them) {
    static const struct {
        const char *text, *base, *query; /* base NULL: refused */
    } rows[] = { { "https://h/v1", "https://h/v1", "" },
                 { "https://h/v1/", "https://h/v1", "" },
                 { "https://h/v1/chat/completions", "https://h/v1", "" },
                 { "https://h/v1//chat/completions/", "https://h/v1", "" },
                 { "https://h/v1/completions", "https://h/v1", "" },
                 { "https://h/v1/embeddings", "https://h/v1", "" },
                 { "https://h/v1/models", "https://h/v1", "" },
                 { "https://h/chat/completions", "https://h", "" },
                 { "https://h/mychat/completions", "https://h/mychat", "" },
                 { "https://h", "https://h", "" },
                 { "https://h/d/x?api-version=2024-10-21", "https://h/d/x",
                   "api-version=2024-10-21" },
                 { "https://h/d/x/chat/completions?api-version=1&a=b", "https://h/d/x",
                   "api-version=1&a=b" },
                 { "https://h/v1?", "https://h/v1", "" },
                 { "https://h/v1?api-key=x", NULL, NULL },
                 { "https://h/v1?a=b&Token=x", NULL, NULL },
                 { "https://h/v1?sig=x", NULL, NULL },
                 { "https://h/v1?%6bey=x", NULL, NULL },
                 { "https://h/v1?a=b#c", NULL, NULL },
                 { "https://h/v1#c", NULL, NULL },
                 { "https://h/v1?a=b c", NULL, NULL },
                 { "https://u:p@h/v1?a=b", NULL, NULL },
                 { "/chat/completions", NULL, NULL },
                 { "https://h:0/v1?a=b", NULL, NULL } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct peri_base_url url;
        size_t n = strlen(rows[i].text);
        char *text = test_guarded(rows[i].text, n);
        const char *expected = peri_option_base_url(&url, (struct peri_str){ text, n });
        CHECK_EQ(expected == NULL, rows[i].base != NULL);
        if (expected == NULL) {
            CHECK_STR(url.base, rows[i].base);
            CHECK_STR(url.query, rows[i].query);
        }
        test_guarded_free(text, n);
    }
}

TEST(options_listen_addresses_are_numeric) {
    static const struct {
        const char *text;
        int loopback; /* -1: refused */
    } rows[] = { { "127.0.0.1:9000", 1 },
                 { "127.9.9.9:0", 1 },
                 { "[::1]:0", 1 },
                 { "unix:/run/p.sock", 1 },
                 { "0.0.0.0:9000", 0 },
                 { "[::]:9000", 0 },
                 { "10.0.0.1:65535", 0 },
                 { "[::ffff:127.0.0.1]:1", 0 },
                 { "127.0.0.1", -1 },
                 { "127.0.0.1:", -1 },
                 { "127.0.0.1:65536", -1 },
                 { "localhost:9000", -1 },
                 { ":9000", -1 },
                 { "9000", -1 },
                 { "", -1 },
                 { "[::1]", -1 },
                 { "[::1:9000", -1 },
                 { "::1:9000", -1 },
                 { "unix:", -1 },
                 { "unix:relative", -1 },
                 { "unix:/", -1 },
                 { "1.2.3:4", -1 } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_loopback = false;
        size_t n = strlen(rows[i].text);
        char *text = test_guarded(rows[i].text, n);
        bool is_one = peri_option_listen((struct peri_str){ text, n }, &is_loopback) == NULL;
        CHECK_EQ(is_one ? (int)is_loopback : -1, rows[i].loopback);
        test_guarded_free(text, n);
    }
}

TEST(options_faults_name_the_line_and_the_nearest_key) {
    check_fault("{\"providers\":[],\n\"lisen\":1}",
                "t.json:2: unknown key 'lisen', did you mean 'listen'?");
    check_fault(
        "{\"providers\":[],\"quite_else\":1}",
        "t.json:1: unknown key 'quite_else', expected one that `perilune check --reference` lists");
    check_fault(
        "{\"providers\":[],\n\n\"overflow\":true}",
        "t.json:3: unknown key 'overflow', expected one that `perilune check --reference` lists");
    check_fault("{\"providers\":[],\"route\":{\"overflow\":1}}",
                "t.json:1: 'route.overflow' must be true or false, got 1");
    check_fault("{\"providers\":[],\"seed\":1e999}",
                "t.json:1: 'seed' must be a whole number from 0 to 9007199254740991, got inf");
    check_fault("{\"providers\":[],\"seed\":1,\"seed\":2}",
                "t.json:1: 'seed' is given twice, first in line 1");
    check_fault(
        "[]", "t.json:1: the configuration must be a table with named members, got an empty list");
    check_fault("{\"providers\":[],\n1}",
                "t.json:2: not JSON: column 1, byte 17: expected a member's name in quotes");
}

TEST(options_keep_counting_faults_they_have_no_room_for) {
    struct fixture f;
    char json[1024] = "{\"providers\":[]";
    for (int i = 0; i < 25; i++)
        snprintf(json + strlen(json), sizeof json - strlen(json), ",\"nonsense%d\":1", i);
    strcat(json, "}");
    open_json(&f, json);
    CHECK_EQ(f.faults.count, PERI_FAULTS_MAX);
    CHECK_EQ(f.faults.beyond, 5);
    done(&f);
}

TEST(options_do_not_repeat_what_may_be_a_secret) {
    check_fault(
        "{\"providers\":[],\"workers\":\"sk-0123456789abcdefghij\"}",
        "t.json:1: 'workers' must be a whole number from 0 to 1024, got text of 23 characters");
}

TEST(options_every_default_passes_its_own_check) {
    struct fixture f;
    open_json(&f, "{\"providers\":[{\"id\":\"a\",\"url\":\"http://h\"}]}");
    CHECK_EQ(f.err, PERI_OK);
    CHECK_EQ(f.faults.count, 0);
    done(&f);
}

TEST(options_survive_every_failing_allocation) {
    int successes = 0;
    TEST_EACH_FAILING_ALLOCATION {
        struct fixture f;
        open_json(&f, "{\"listen\":[\"127.0.0.1:1\",\"[::1]:2\"],\"keys\":[\"env:KEY\"],\"models\":"
                      "{\"m\":[\"x\"]},"
                      "\"providers\":[{\"id\":\"a\",\"url\":\"http://"
                      "h\",\"headers\":{\"x-a\":\"b\"},\"models\":"
                      "{\"m\":{\"aliases\":[\"n\"]}}},{\"id\":\"g\",\"network\":\"gonka\","
                      "\"sources\":[\"http://n\"],"
                      "\"private_key\":\"" GONKA_KEY "\"}]}");
        CHECK(f.err == PERI_OK || f.err == PERI_ENOMEM);
        CHECK_EQ(f.faults.count, 0);
        successes += f.err == PERI_OK;
        done(&f);
    }
    CHECK(successes >= 1);
}
