#include "router/config_load.h"

#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"

static const char *get(void *arg, const char *name) {
    const char *const *pairs = arg;
    for (; pairs != NULL && *pairs != NULL; pairs += 2)
        if (strcmp(pairs[0], name) == 0) return pairs[1];
    return NULL;
}

static char path[64];

static void write_config(const char *text) {
    strcpy(path, "/tmp/perilune-config-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
    close(fd);
}

TEST(config_load_survives_every_failing_allocation) {
    static const char *const pairs[] = { "PERILUNE_WORKERS",
                                         "2",
                                         "PERILUNE_UPSTREAM",
                                         "http://h;a-key-of-the-test",
                                         "OPENAI_API_KEY",
                                         "abc",
                                         NULL };
    const struct peri_env env = { .get = get, .arg = (void *)pairs };
    const struct peri_config_flag flags[] = {
        { PERI_STR_INIT("--listen"), PERI_STR_INIT("listen"), PERI_STR_INIT("127.0.0.1:1") },
        { PERI_STR_INIT("--listen"), PERI_STR_INIT("listen"), PERI_STR_INIT("127.0.0.1:2") },
    };
    int successes = 0;
    write_config(
        "local t = { idle = '1s' }\nreturn { timeouts = t, keys = { secret 'env:OPENAI_API_KEY' "
        "},\n"
        "models = { a = { 'b', 'c' } }, providers = { { id = 'a', url = 'http://h' } } }\n");
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_fault_list faults = { 0 };
        struct peri_config *c = NULL;
        struct peri_secret_box *box = peri_secret_box_new(&env);
        if (box == NULL) continue;
        struct peri_config_source source = { peri_str_of(path), flags, 2, box, NULL };
        enum peri_err err = peri_config_load(&c, &source, &faults);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        CHECK_EQ(faults.count, 0);
        if (err == PERI_OK) {
            successes++;
            CHECK_EQ(c->listen_count, 2);
            CHECK_EQ(c->workers, 2);
            CHECK_EQ(c->provider_count, 1);
            CHECK_STR(c->providers[0].url, "http://h/v1");
            CHECK_STR(((struct peri_str){ c->providers[0].key.p, c->providers[0].key.n }),
                      "a-key-of-the-test");
        } else {
            CHECK(c == NULL);
        }
        peri_config_unref(c);
        peri_secret_box_free(box);
    }
    CHECK(successes >= 1);
    unlink(path);
}

TEST(config_load_takes_json_from_host_programs) {
    static const char *const pairs[] = { "HOST_KEY", "0123456789abcdef", NULL };
    const struct peri_env env = { .get = get, .arg = (void *)pairs };
    struct peri_secret_box *box = peri_secret_box_new(&env);
    struct peri_fault_list faults = { 0 };
    struct peri_config *c = NULL;
    CHECK_EQ(peri_config_load_json(&c,
                                   PERI_STR("{\"providers\":[{\"id\":\"a\",\"url\":\"http://"
                                            "h\"}],\"keys\":[\"env:HOST_KEY\"]}"),
                                   PERI_STR("the host"), box, &faults),
             PERI_OK);
    CHECK_EQ(c->key_count, 1);
    CHECK_STR(c->keys[0].id, "key-1");
    CHECK_EQ(c->keys[0].secret.n, 16);
    struct peri_config *second = peri_config_ref(c);
    peri_config_unref(c);
    CHECK_STR(second->providers[0].id, "a");
    peri_config_unref(second);
    c = NULL;
    CHECK_EQ(peri_config_load_json(&c, PERI_STR("{\"providrs\":[]}"), PERI_STR("the host"), box,
                                   &faults),
             PERI_ECONFIG);
    CHECK(c == NULL);
    CHECK_STR(peri_str_of(faults.faults[0].text),
              "the host:1: unknown key 'providrs', did you mean 'providers'?");
    peri_secret_box_free(box);
}

/* How often the text stands in memory that this process may write and that no file is behind: heap and anonymous
 * mappings, its own copy for the search left out. */
static int count_in_memory(const char *reversed) {
    char needle[64], line[512];
    size_t n = strlen(reversed);
    int count = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    for (size_t i = 0; i < n; i++) needle[i] = reversed[n - 1 - i];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *from, *to, mode[8], name[64] = "";
        if (sscanf(line, "%p-%p %7s %*s %*s %*s %63s", (void **)&from, (void **)&to, mode, name) <
            3)
            continue;
        if (strncmp(mode, "rw", 2) != 0 || strcmp(name, "[stack]") == 0 || name[0] == '/') continue;
        for (char *p = from; (p = memmem(p, (size_t)(to - p), needle, n)) != NULL; p++) count++;
    }
    if (f != NULL) fclose(f);
    peri_wipe(needle, sizeof needle);
    return count;
}

#define REVERSED_CANARY "edoc-eht-ni-sdrawkcab-nettirw-yranac"

static void write_canary(char *out) {
    static const char reversed[] = REVERSED_CANARY;
    for (size_t i = 0; i < sizeof reversed - 1; i++) out[i] = reversed[sizeof reversed - 2 - i];
    out[sizeof reversed - 1] = '\0';
}

TEST(config_load_leaves_no_secret_in_freed_memory) {
    static const char *const formats[] = {
        "return { providers = { { id = 'a', url = 'http://h', key = '%s' } } }",
        "return { providers = { { id = 'a', url = 'http://h', key = '' .. '%s', weight = 0 } } }",
        "{\"providers\":[{\"id\":\"a\",\"url\":\"http://h\",\"key\":\"%s\"}]}"
    };
    const struct peri_env env = { .get = get };
#ifdef __SANITIZE_ADDRESS__
    printf("skipped: the sanitizer's own memory can not be searched\n");
    return;
#endif
    for (size_t i = 0; i < 3; i++) {
        char secret[64], text[256], named[80];
        write_canary(secret);
        snprintf(text, sizeof text, formats[i], secret);
        write_config(text);
        snprintf(named, sizeof named, "%s%s", path, i == 2 ? ".json" : "");
        CHECK_EQ(rename(path, named), 0);
        struct peri_secret_box *box = peri_secret_box_new(&env);
        struct peri_fault_list faults = { 0 };
        struct peri_config *c = NULL;
        struct peri_config_source source = { .file = peri_str_of(named), .box = box };
        enum peri_err err = peri_config_load(&c, &source, &faults);
        CHECK_EQ(err, i == 1 ? PERI_ECONFIG : PERI_OK);
        CHECK_EQ(count_in_memory(REVERSED_CANARY),
                 err == PERI_OK ? 1 : 0); /* in the configuration itself */
        peri_config_unref(c);
        peri_secret_box_free(box);
        CHECK_EQ(count_in_memory(REVERSED_CANARY), 0);
        unlink(named);
        peri_wipe(secret, sizeof secret);
        peri_wipe(text, sizeof text);
    }
}

/* A large configuration, of `count` items written by a format with the item's number. */
static char *large_text(const char *start, const char *item, size_t count, const char *end) {
    struct peri_buf text;
    peri_buf_init(&text, 0);
    peri_buf_add(&text, peri_str_of(start));
    for (size_t i = 0; i < count; i++) {
        const char *number = strchr(item, '#');
        struct peri_str before = { item, (size_t)(number - item) };
        peri_buf_addf(&text, "%.*s%zu%s", PERI_STR_ARGS(before), i, number + 1);
    }
    peri_buf_add(&text, peri_str_of(end));
    peri_buf_add_char(&text, '\0');
    CHECK_EQ(text.err, PERI_OK);
    char *copy = strdup(text.p);
    peri_buf_done(&text);
    return copy;
}

/* CPU time of one load, in ms. */
static double load_ms(const char *text, bool is_json, enum peri_err expected) {
    static const char *const pairs[] = { "PERILUNE_UPSTREAM", "http://h", NULL };
    char named[80];
    const struct peri_env env = { .get = get, .arg = (void *)pairs };
    struct peri_secret_box *box = peri_secret_box_new(&env);
    struct peri_fault_list faults = { 0 };
    struct peri_config *c = NULL;
    struct timespec from, to;
    write_config(text);
    snprintf(named, sizeof named, "%s%s", path, is_json ? ".json" : "");
    CHECK_EQ(rename(path, named), 0);
    struct peri_config_source source = { .file = peri_str_of(named), .box = box };
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    enum peri_err err = peri_config_load(&c, &source, &faults);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    if (err != expected) printf("%.60s: %s\n", text, faults.faults[0].text);
    CHECK_EQ(err, expected);
    peri_config_unref(c);
    peri_secret_box_free(box);
    unlink(named);
    return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
}

#define FEW  2000
#define MANY 20000

TEST(config_load_takes_time_in_proportion) {
    static const struct large {
        const char *start, *item, *end;
        bool is_json, is_wrong;
    } kinds[] = {
        { "return { providers = {", "{id='p#',url='http://h'},\n", "} }", false, false },
        { "return { providers = { { id='a', url='http://h', models = {", "['m#']={},\n", "} } } }",
          false, false },
        { "return { providers = { { id='a', url='http://h', models = {", "'m#',\n", "} } } }",
          false, false },
        { "return { models = { m = {", "'a#',\n", "} } }", false, false },
        { "return { keys = {", "'0123456789abcdef-#',\n", "} }", false, false },
        { "return {", "unknown# = 1,\n", "}", false, true },
        { "return {", "listen = '#',\n", "}", false, true },
        { "return {", "['listen'] = # .. '',\n", "}", false, true },
        { "{\"keys\":[\"0123456789abcdef\"", ",\"0123456789abcdef-#\"", "]}", true, false },
        { "{\"workers\":1", ",\"unknown#\":1", "}", true, true },
        { "{\"providers\":[{\"id\":\"a\",\"url\":\"http://h\",\"models\":{\"a\":{}", ",\"m#\":{}",
          "}}]}", true, false },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct large *k = &kinds[i];
        enum peri_err expected = k->is_wrong ? PERI_ECONFIG : PERI_OK;
        char *few = large_text(k->start, k->item, FEW, k->end);
        char *many = large_text(k->start, k->item, MANY, k->end);
        double least = 1e9, most = 1e9;
        for (int round = 0; round < 3; round++) {
            double took = load_ms(few, k->is_json, expected);
            least = took < least ? took : least;
        }
        for (int round = 0; round < 2; round++) {
            double took = load_ms(many, k->is_json, expected);
            most = took < most ? took : most;
        }
        /* What is quadratic would take a hundred times as long. */
        bool is_linear = most < 30 * least || most < 30;
        if (!is_linear) printf("%s: %.1f ms, %.1f ms\n", k->item, least, most);
        CHECK(is_linear);
        free(few);
        free(many);
    }
}

#define FILE_CPU_MS 1000 /* that reading a file in Lua may take */

/* All four that a configuration has, without end: stopped by the budget, or refused for their number or size. */
TEST(config_load_ends_what_does_not_end) {
    static const char *const endless[] = {
        "while true do end return {}",
        "while true do env 'X' end return {}",
        "while true do secret 'env:X' end return {}",
        "while true do file '/proc/self/maps' end return {}",
        "local function f() include '/dev/null' return f() end return f()",
        "local t = {} for _ = 1, 28 do t = { t, t } end return { providers = t }",
        ("local s = '1' while #s < 4000000 do s = s .. s end "
         "while true do s = s < s .. '1' and s end"),
    };
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        double took = load_ms(endless[i], false, PERI_ECONFIG);
        if (took >= 2 * FILE_CPU_MS) printf("%s: %.0f ms\n", endless[i], took);
        CHECK(took < 2 * FILE_CPU_MS);
    }
}
