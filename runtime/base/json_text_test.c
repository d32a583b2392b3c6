#include "base/json_text.h"

#include <math.h>

#include "base/json.h"
#include "base/test.h"

static const struct peri_json_path chunk[] = {
    { 4,
      { PERI_STR_INIT("choices"), PERI_JSON_ELEMENT(0), PERI_STR_INIT("delta"),
        PERI_STR_INIT("content") } },
    { 3, { PERI_STR_INIT("choices"), PERI_JSON_ELEMENT(0), PERI_STR_INIT("finish_reason") } },
    { 1, { PERI_STR_INIT("usage") } },
    { 2, { PERI_STR_INIT("usage"), PERI_STR_INIT("total_tokens") } },
    { 1, { PERI_STR_INIT("error") } },
    { 0, { { NULL, 0 } } },
};
enum { CONTENT, FINISH, USAGE, TOTAL, ERROR, WHOLE, COUNT };

static enum peri_err scan(struct peri_str found[COUNT], const char *text) {
    return peri_json_scan(found, peri_str_of(text), chunk, COUNT, NULL);
}

TEST(json_scan_picks_values_out_of_a_chunk) {
    struct peri_str found[COUNT];
    CHECK_EQ(scan(found, " {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                         "\"assistant\",\"content\":\"Hi\\n\"},"
                         "\"finish_reason\":null},{\"delta\":{\"content\":\"other\"}}],\"usage\":{"
                         "\"total_tokens\":12}} "),
             PERI_OK);
    CHECK_STR(found[CONTENT], "\"Hi\\n\"");
    CHECK_STR(found[FINISH], "null");
    CHECK_STR(found[USAGE], "{\"total_tokens\":12}");
    CHECK_STR(found[TOTAL], "12");
    CHECK(found[ERROR].p == NULL);
    CHECK(found[WHOLE].n > 100 && found[WHOLE].p[0] == '{');
}

TEST(json_scan_finds_nothing_where_the_way_is_another) {
    struct peri_str found[COUNT];
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"choices\":[]}",
        "{\"choices\":{}}",
        "{\"choices\":[[{\"delta\":{\"content\":1}}]]}",
        "{\"choices\":[{\"delta\":[\"content\"]}]}",
        "{\"choices\":[0,{\"delta\":{\"content\":1}}]}",
        "{\"x\":{\"choices\":[{\"delta\":{\"content\":1}}]}}",
        "[{\"error\":1}]",
        "\"error\"",
        "{\"choices\":[{\"delta\":{\"content\":1}}],\"choices\":[]}", /* the last one counts */
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK_EQ(scan(found, texts[i]), PERI_OK);
        CHECK(found[CONTENT].p == NULL && found[FINISH].p == NULL && found[ERROR].p == NULL);
    }
    CHECK_EQ(scan(found, "{\"\\u0065rror\":[1,[2]],\"usage\":1,\"usage\":\"b\"}"), PERI_OK);
    CHECK_STR(found[ERROR], "[1,[2]]");
    CHECK_STR(found[USAGE], "\"b\"");
    static const struct peri_json_path third = { 2, { PERI_STR_INIT("a"), PERI_JSON_ELEMENT(2) } };
    CHECK_EQ(peri_json_scan(found, PERI_STR("{\"a\":[[],{\"b\":1},[3],4]}"), &third, 1, NULL),
             PERI_OK);
    CHECK_STR(found[0], "[3]");
}

/* Whatever the text, the verdict is that of the whole parser. */
TEST(json_scan_judges_as_the_parser_does) {
    static const char base[] = "{\"choices\":[{\"delta\":{\"content\":\"a\\u00e9\xc3\xa9\\\\\"},"
                               "\"n\":[-1.5e3,0,true,null,{}]}],"
                               "\"error\":[ ] , \"usage\" : false }";
    static const char put[] = "{}[]\",:\\0-.eE tn\n\x01\x80";
    int valid = 0;
    for (size_t at = 0; at < sizeof base - 1; at++) {
        for (size_t k = 0; k < sizeof put; k++) { /* the last cuts the text */
            char text[sizeof base];
            memcpy(text, base, sizeof base);
            text[at] = put[k];
            size_t n = k == sizeof put - 1 ? at : sizeof base - 1;
            char *p = test_guarded(text, n);
            struct peri_str found[COUNT], s = { p, n };
            struct peri_fault by_scan = { 0 }, by_parse = { 0 };
            struct peri_json *j = NULL;
            enum peri_err err = peri_json_scan(found, s, chunk, COUNT, &by_scan);
            CHECK_EQ(err, peri_json_parse(&j, s, NULL, &by_parse));
            CHECK_STR(peri_str_of(by_scan.text), by_parse.text);
            valid += err == PERI_OK;
            if (err != PERI_OK)
                for (size_t i = 0; i < COUNT; i++) CHECK(found[i].p == NULL);
            if (err == PERI_OK) {
                struct peri_str raw = peri_json_raw(j, peri_json_get(j, 0, PERI_STR("error")));
                CHECK(raw.p == found[ERROR].p && raw.n == found[ERROR].n);
            }
            peri_json_free(j);
            test_guarded_free(p, n);
        }
    }
    CHECK(valid > 100);
    char deep[300];
    for (int depth = 128; depth <= 129; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        struct peri_str found[1];
        CHECK_EQ(peri_json_scan(found, (struct peri_str){ deep, 2 * (size_t)depth }, NULL, 0, NULL),
                 depth == 128 ? PERI_OK : PERI_ETOOBIG);
    }
}

TEST(json_raw_values_read_as_what_they_are) {
    CHECK_STR(peri_json_raw_plain(PERI_STR("\"ab\"")), "ab");
    CHECK(peri_json_raw_plain(PERI_STR("\"a\\n\"")).p == NULL);
    CHECK(peri_json_raw_plain(PERI_STR("null")).p == NULL);
    CHECK(peri_json_raw_string_is(PERI_STR("\"st\\u006fp\""), PERI_STR("stop")));
    CHECK(!peri_json_raw_string_is(PERI_STR("\"sto\""), PERI_STR("stop")));
    CHECK(!peri_json_raw_string_is(PERI_STR("\"stopp\""), PERI_STR("stop")));
    CHECK(!peri_json_raw_string_is((struct peri_str){ NULL, 0 }, PERI_STR("")));
    CHECK_EQ(peri_json_raw_kind((struct peri_str){ NULL, 0 }), PERI_JSON_NULL);
    CHECK_EQ(peri_json_raw_kind(PERI_STR("null")), PERI_JSON_NULL);
    CHECK_EQ(peri_json_raw_kind(PERI_STR("false")), PERI_JSON_BOOL);
    CHECK_EQ(peri_json_raw_kind(PERI_STR("-1")), PERI_JSON_NUMBER);
    CHECK_EQ(peri_json_raw_kind(PERI_STR("\"\"")), PERI_JSON_STRING);
    CHECK_EQ(peri_json_raw_kind(PERI_STR("[]")), PERI_JSON_ARRAY);
    CHECK_EQ(peri_json_raw_kind(PERI_STR("{}")), PERI_JSON_OBJECT);
}

TEST(json_raw_int_knows_its_range) {
    static const struct {
        const char *text;
        enum peri_err err;
        int64_t value;
    } cases[] = {
        { "0", PERI_OK, 0 },
        { "-0", PERI_OK, 0 },
        { "4096", PERI_OK, 4096 },
        { "9223372036854775807", PERI_OK, INT64_MAX },
        { "9223372036854775808", PERI_ETOOBIG, 0 },
        { "-9223372036854775808", PERI_OK, INT64_MIN },
        { "-9223372036854775809", PERI_ETOOBIG, 0 },
        { "18446744073709551616", PERI_ETOOBIG, 0 },
        { "100000000000000000000000000000000000000000", PERI_ETOOBIG, 0 },
        { "1.0", PERI_EINVAL, 0 },
        { "1e3", PERI_EINVAL, 0 },
        { "\"1\"", PERI_EINVAL, 0 },
        { "null", PERI_EINVAL, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        CHECK_EQ(peri_json_raw_int(&value, peri_str_of(cases[i].text)), cases[i].err);
        CHECK_EQ(value, cases[i].value);
    }
}

TEST(json_raw_double_rounds_as_the_c_library_does) {
    static const char *const texts[] = {
        "0",
        "-0.0",
        "1",
        "0.1",
        "0.7",
        "1e23",
        "-1.5e-3",
        "123456789012345678901234567890",
        "2.2250738585072011e-308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "0.000000000000000000000000000000000000012345e20",
        "9007199254740993",
        "100e-2",
        "0e99999999999",
        "5E+2",
        "3.14159265358979323846264338327950288419716939937510",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        double got, want = strtod(texts[i], NULL);
        CHECK_EQ(peri_json_raw_double(&got, peri_str_of(texts[i])), PERI_OK);
        if (memcmp(&got, &want, sizeof got) != 0) fprintf(stderr, "%s: %.17g\n", texts[i], got);
        CHECK(memcmp(&got, &want, sizeof got) == 0);
    }
    double d;
    CHECK_EQ(peri_json_raw_double(&d, PERI_STR("1e400")), PERI_ETOOBIG);
    CHECK(isinf(d) && d > 0);
    CHECK_EQ(peri_json_raw_double(&d, PERI_STR("-1e99999999999999999999")), PERI_ETOOBIG);
    CHECK(isinf(d) && d < 0);
    CHECK_EQ(peri_json_raw_double(&d, PERI_STR("1e-99999999999999999999")), PERI_OK);
    CHECK(d == 0);
    /* more digits than are kept: the middle between two doubles, and a hair above it */
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_buf_add(&b, PERI_STR("9007199254740993."));
    for (int i = 0; i < 2000; i++) peri_buf_add_char(&b, '0');
    CHECK_EQ(peri_json_raw_double(&d, peri_buf_str(&b)), PERI_OK);
    CHECK(d == 9007199254740992.0);
    peri_buf_add_char(&b, '1');
    CHECK_EQ(peri_json_raw_double(&d, peri_buf_str(&b)), PERI_OK);
    CHECK(d == 9007199254740994.0);
    peri_buf_clear(&b);
    peri_buf_add_char(&b, '1');
    for (int i = 0; i < 5000; i++) peri_buf_add_char(&b, '0');
    peri_buf_add(&b, PERI_STR("e-5000"));
    CHECK_EQ(peri_json_raw_double(&d, peri_buf_str(&b)), PERI_OK);
    CHECK(d == 1);
    peri_buf_done(&b);
}

TEST(json_int_text_reads_back_the_same) {
    static const int64_t values[] = { 0, 1, -1, 9, 10, -4096, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char room[PERI_JSON_INT_MAX], want[32];
        snprintf(want, sizeof want, "%lld", (long long)values[i]);
        CHECK_STR(peri_json_int_text(room, values[i]), want);
    }
}

static void check_double(double value, const char *want) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_json_put_double(&b, value);
    CHECK_STR(peri_buf_str(&b), want);
    peri_buf_done(&b);
}

TEST(json_put_writes_numbers_in_their_shortest_form) {
    check_double(0.7, "0.7");
    check_double(1.0, "1");
    check_double(-2048.0, "-2048");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(1e21, "1e+21");
    check_double(5e-324, "4.94065645841247e-324");
    check_double(9007199254740991.0, "9007199254740991");
    check_double(INFINITY, "null");
    check_double(NAN, "null");
}

TEST(json_put_writes_commas_where_they_belong) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_buf_add(&b, PERI_STR("data: "));
    peri_json_put_open(&b, '{');
    peri_json_put_name(&b, "a");
    peri_json_put_int(&b, -1);
    peri_json_put_name(&b, "b{");
    peri_json_put_open(&b, '[');
    peri_json_put_string(&b, PERI_STR("x\"["));
    peri_json_put_bool(&b, true);
    peri_json_put_bool(&b, false);
    peri_json_put_null(&b);
    peri_json_put_open(&b, '{');
    peri_json_put_close(&b, '}');
    peri_json_put_open(&b, '[');
    peri_json_put_close(&b, ']');
    peri_json_put_raw(&b, PERI_STR("1.50"));
    peri_json_put_double(&b, 2.5);
    peri_json_put_close(&b, ']');
    peri_json_put_name_str(&b, PERI_STR("c"));
    peri_json_put_null(&b);
    peri_json_put_close(&b, '}');
    CHECK_STR(peri_buf_str(&b),
              "data: {\"a\":-1,\"b{\":[\"x\\\"[\",true,false,null,{},[],1.50,2.5],\"c\":null}");
    peri_buf_done(&b);
}
