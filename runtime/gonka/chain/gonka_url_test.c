#include "gonka/chain/gonka_url.h"

#include <arpa/inet.h>

#include "crypto/test_vectors.h"

static enum peri_gonka_url_verdict judge(const char *text, char *out, size_t room) {
    struct peri_arena a;
    struct peri_str url;
    peri_arena_init(&a, 0);
    enum peri_gonka_url_verdict verdict = peri_gonka_url(&url, &a, peri_str_of(text));
    snprintf(out, room, "%.*s", PERI_STR_ARGS(url));
    peri_arena_done(&a);
    return verdict;
}

static void expect(const char *text, enum peri_gonka_url_verdict verdict, const char *url) {
    char got[2500];
    enum peri_gonka_url_verdict found = judge(text, got, sizeof got);
    if (found != verdict || strcmp(got, url) != 0)
        fprintf(stderr, "%s: verdict %d, \"%s\"\n", text, found, got);
    CHECK_EQ(found, verdict);
    CHECK_STR(peri_str_of(got), url);
}

#define OK(text, url)      expect(text, PERI_GONKA_URL_OK, url)
#define PRIVATE(text, url) expect(text, PERI_GONKA_URL_PRIVATE, url)
#define BAD(text)          expect(text, PERI_GONKA_URL_BAD, "")

TEST(url_has_one_spelling) {
    OK("http://69.48.159.157:8000", "http://69.48.159.157:8000");
    OK("http://69.48.159.157:8000/", "http://69.48.159.157:8000");
    OK("HTTP://Node1.Gonka.AI:8000/v1/", "http://node1.gonka.ai:8000");
    OK("https://node3.gonka.ai:443/v1", "https://node3.gonka.ai");
    OK("http://node3.gonka.ai:80///", "http://node3.gonka.ai");
    OK("https://node3.gonka.ai./api/v1", "https://node3.gonka.ai/api");
    OK("https://node3.gonka.ai/api/v1/v1", "https://node3.gonka.ai/api/v1");
    OK(" https://node3.gonka.ai ", "https://node3.gonka.ai");
    OK("http://36.189.234.197:18026", "http://36.189.234.197:18026");
    OK("http://[2a01:04f8:0:0::1]:8000", "http://[2a01:4f8::1]:8000");
    OK("http://0x45.0x30.0x9f.0x9d", "http://69.48.159.157");
    OK("http://1.1", "http://1.0.0.1");
    OK("http://1.2.3.4.", "http://1.2.3.4");
}

TEST(url_leads_to_no_private_place) {
    PRIVATE("http://127.0.0.1:8000", "http://127.0.0.1:8000");
    PRIVATE("http://2130706433", "http://127.0.0.1");
    PRIVATE("http://0x7f000001", "http://127.0.0.1");
    PRIVATE("http://0x7f.1", "http://127.0.0.1");
    PRIVATE("http://0177.0.0.1", "http://127.0.0.1");
    PRIVATE("http://127.1", "http://127.0.0.1");
    PRIVATE("http://0", "http://0.0.0.0");
    PRIVATE("http://0x", "http://0.0.0.0");
    PRIVATE("http://10.1.2.3", "http://10.1.2.3");
    PRIVATE("http://172.31.255.255", "http://172.31.255.255");
    OK("http://172.32.0.0", "http://172.32.0.0");
    PRIVATE("http://192.168.0.1", "http://192.168.0.1");
    PRIVATE("http://169.254.169.254/latest/meta-data", "http://169.254.169.254/latest/meta-data");
    PRIVATE("http://100.64.0.1", "http://100.64.0.1");
    PRIVATE("http://198.19.0.1", "http://198.19.0.1");
    PRIVATE("http://224.0.0.1", "http://224.0.0.1");
    PRIVATE("http://255.255.255.255", "http://255.255.255.255");
    PRIVATE("http://[::1]:9000", "http://[::1]:9000");
    PRIVATE("http://[::]", "http://[::]");
    PRIVATE("http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]");
    PRIVATE("http://[::ffff:7f00:1]", "http://[::ffff:127.0.0.1]");
    PRIVATE("http://[64:ff9b::7f00:1]", "http://[64:ff9b::7f00:1]");
    PRIVATE("http://[2002:7f00:1::]", "http://[2002:7f00:1::]");
    PRIVATE("http://[2001::1]", "http://[2001::1]");
    PRIVATE("http://[fe80::1]", "http://[fe80::1]");
    PRIVATE("http://[fd00::1]", "http://[fd00::1]");
    PRIVATE("http://[ff02::1]", "http://[ff02::1]");
    PRIVATE("http://[2001:db8::1]", "http://[2001:db8::1]");
    PRIVATE("http://localhost:8000", "http://localhost:8000");
    PRIVATE("http://LOCALHOST.", "http://localhost");
    PRIVATE("http://a.localhost", "http://a.localhost");
    PRIVATE("http://genesis-api:8080", "http://genesis-api:8080");
    PRIVATE("http://metadata.google.internal", "http://metadata.google.internal");
    PRIVATE("http://printer.local", "http://printer.local");
}

TEST(url_refuses_what_has_no_business_there) {
    BAD("");
    BAD("gonka.ai");
    BAD("gopher://gonka.ai");
    BAD("file:///etc/passwd");
    BAD("http:gonka.ai");
    BAD("http:///gonka.ai");
    BAD("http://");
    BAD("http://user@gonka.ai");
    BAD("http://user:pass@gonka.ai");
    BAD("http://gonka.ai@127.0.0.1");
    BAD("http://gonka.ai\\@127.0.0.1");
    BAD("http://gonka.ai#@127.0.0.1");
    BAD("http://gonka.ai/?a=b");
    BAD("http://gonka.ai/#f");
    BAD("http://gonka.ai/a b");
    BAD("http://gonka.ai/%2e%2e/");
    BAD("http://gonka.ai/../admin");
    BAD("http://gonka.ai/a/./b");
    BAD("http://gonka.ai:0");
    BAD("http://gonka.ai:22");
    BAD("http://gonka.ai:65536");
    BAD("http://gonka.ai:8000x");
    BAD("http://gonka.ai:");
    BAD("http://gonka..ai");
    BAD("http://.gonka.ai");
    BAD("http://gonka.ai..");
    BAD("http://g\xc3\xb6nka.ai");
    BAD("http://256.1.1.1");
    BAD("http://1.2.3.4.5");
    BAD("http://1.2.3.4..");
    BAD("http://1.2.3.999");
    BAD("http://08.1.1.1");
    BAD("http://4294967296");
    BAD("http://99999999999999999999999");
    BAD("http://[::1");
    BAD("http://[]");
    BAD("http://[::1]x");
    BAD("http://[fe80::1%25eth0]");
    BAD("http://[::1%lo]");
    BAD("http://a\r\nHost: b");
}

TEST(url_is_cut_off_at_its_cap) {
    char text[3000] = "http://gonka.ai/";
    size_t n = strlen(text);
    memset(text + n, 'a', sizeof text - 1 - n);
    text[PERI_GONKA_URL_MAX] = '\0';
    char got[3000];
    CHECK_EQ(judge(text, got, sizeof got), PERI_GONKA_URL_OK);
    text[PERI_GONKA_URL_MAX] = 'a';
    BAD(text);
    /* Short as written, but "1" is 0.0.0.1. */
    memcpy(text, "http://1/aaaaaa", 15);
    text[PERI_GONKA_URL_MAX] = '\0';
    BAD(text);
}

TEST(url_agrees_with_the_clients_vectors) {
    struct vectors v;
    int count = 0;
    CHECK(vectors_open(&v, "spec/vectors/gonka-vectors.json"));
    struct peri_json_iter it = peri_json_iter(v.j, v_get(&v, v.root, "url_suffix_vectors"));
    for (; peri_json_next(v.j, &it); count++) {
        struct peri_str told = v_text(&v, it.value, "inference_url"), url;
        struct peri_str want = v_text(&v, it.value, "api_base");
        char base[300];
        CHECK(peri_gonka_url(&url, &v.a, told) != PERI_GONKA_URL_BAD);
        snprintf(base, sizeof base, "%.*s/v1", PERI_STR_ARGS(url));
        /* Of two trailing slashes the Python client leaves one; a server would answer 404 to it. */
        if (peri_str_eq(told, PERI_STR("https://h//"))) want = PERI_STR("https://h/v1");
        CHECK(peri_str_eq(peri_str_of(base), want));
    }
    CHECK_EQ(count, 6);
    vectors_close(&v);
}

TEST(url_reads_no_byte_too_far) {
    static const char *const texts[] = { "http://[2a01:4f8::1]:8000/v1/", "https://a.b:8000/v1",
                                         "http://0x7f.1:80/x" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            struct peri_arena a;
            struct peri_str url;
            char *p = test_guarded(texts[i], n);
            peri_arena_init(&a, 0);
            enum peri_gonka_url_verdict verdict =
                peri_gonka_url(&url, &a, (struct peri_str){ p, n });
            CHECK((verdict == PERI_GONKA_URL_BAD) == (url.p == NULL));
            peri_arena_done(&a);
            test_guarded_free(p, n);
        }
}
