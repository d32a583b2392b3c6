#include "router/config_load.h"

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
