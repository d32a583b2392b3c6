#include "base/log.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/test.h"

static uint64_t wall_now(void *arg) { return *(const uint64_t *)arg; }

struct rig {
    uint64_t wall_ns;
    struct peri_clock clock;
    struct peri_log log;
};

static void rig_init(struct rig *r, uint64_t wall_ns) {
    r->wall_ns = wall_ns;
    r->clock = (struct peri_clock){ .wall_ns = wall_now, .arg = &r->wall_ns };
    peri_log_init(&r->log, -1, PERI_LOG_INFO, &r->clock);
}

/* The lines so far; forgotten with the call. */
static void check_lines(struct rig *r, const char *want) {
    CHECK_STR(peri_buf_str(&r->log.out), want);
    peri_buf_clear(&r->log.out);
}

TEST(log_line_has_every_kind_of_member) {
    struct rig r;
    rig_init(&r, 1700000000123456789u);
    CHECK(peri_log_begin(&r.log, PERI_LOG_INFO, "a \"quoted\" message"));
    peri_log_str(&r.log, "text", PERI_STR("two\nlines"));
    peri_log_int(&r.log, "zero", 0);
    peri_log_int(&r.log, "least", INT64_MIN);
    peri_log_int(&r.log, "most", INT64_MAX);
    peri_log_ms(&r.log, "short", 7);
    peri_log_ms(&r.log, "long", 12345678);
    peri_log_bool(&r.log, "yes", true);
    peri_log_json(&r.log, "list", PERI_STR("[1,2]"));
    peri_log_end(&r.log);
    check_lines(
        &r, "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"msg\":\"a \\\"quoted\\\" "
            "message\",\"text\":\"two\\nlines\",\"zero\":0,\"least\":-9223372036854775808,"
            "\"most\":9223372036854775807,\"short\":0.007,\"long\":12345.678,\"yes\":true,"
            "\"list\":[1,2]}\n");
    peri_log_done(&r.log);
}

TEST(log_line_is_whole_however_much_is_put_into_it) {
    static const char zeros[5000];
    struct rig r;
    rig_init(&r, 0);
    for (int lines = 0; lines < 3; lines++) {
        CHECK(peri_log_begin(&r.log, PERI_LOG_INFO, "much"));
        for (int i = 0; i < 100; i++)
            peri_log_str(&r.log, "zeros", (struct peri_str){ zeros, sizeof zeros });
        struct peri_str line = peri_str_from(peri_buf_str(&r.log.out), r.log.line_at);
        CHECK(line.n > 65536 && line.n < 2 * 65536);
        peri_buf_add(&r.log.out, PERI_STR("}\n")); /* as peri_log_end does, but for the writing */
        CHECK_EQ(r.log.out.err, PERI_OK);
        CHECK(peri_str_has_suffix(peri_buf_str(&r.log.out), PERI_STR("\\u0000\"}\n")));
        peri_buf_clear(&r.log.out);
    }
    peri_log_done(&r.log);
}

TEST(log_stamp_follows_the_clock) {
    struct rig r;
    rig_init(&r, 0);
    peri_log_say(&r.log, PERI_LOG_INFO, "first");
    r.wall_ns = 999999999u;
    peri_log_say(&r.log, PERI_LOG_INFO, "same second");
    r.wall_ns = 1000000000u;
    peri_log_say(&r.log, PERI_LOG_INFO, "next");
    check_lines(&r,
                "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"msg\":\"first\"}\n"
                "{\"ts\":\"1970-01-01T00:00:00.999Z\",\"level\":\"info\",\"msg\":\"same second\"}\n"
                "{\"ts\":\"1970-01-01T00:00:01.000Z\",\"level\":\"info\",\"msg\":\"next\"}\n");
    peri_log_done(&r.log);
}

TEST(log_parts_have_levels_and_names_and_share_lines) {
    struct rig r;
    struct peri_log quiet, loud;
    rig_init(&r, 0);
    peri_log_part(&quiet, &r.log, "quiet", PERI_LOG_ERROR);
    peri_log_part(&loud, &r.log, "loud", PERI_LOG_TRACE);
    peri_log_say(&loud, PERI_LOG_TRACE, "one");
    peri_log_say(&quiet, PERI_LOG_WARN, "never");
    CHECK(peri_log_begin(&loud, PERI_LOG_DEBUG, "two"));
    peri_log_int(&loud, "n", -2);
    peri_log_str(&loud, "s", PERI_STR("s"));
    peri_log_ms(&loud, "ms", 1000);
    peri_log_bool(&loud, "b", false);
    peri_log_json(&loud, "j", PERI_STR("[]"));
    peri_log_end(&loud);
    peri_log_say(&r.log, PERI_LOG_INFO, "three");
    check_lines(&r,
                "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"trace\",\"component\":\"loud\","
                "\"msg\":\"one\"}\n"
                "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"debug\",\"component\":\"loud\","
                "\"msg\":\"two\",\"n\":-2,\"s\":\"s\",\"ms\":1.000,\"b\":false,\"j\":[]}\n"
                "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\"msg\":\"three\"}\n");
    peri_log_say(&quiet, PERI_LOG_ERROR, "urgent"); /* leaves at once, through the whole */
    CHECK_EQ(r.log.out.n, 0);
    CHECK_EQ(quiet.out.n + loud.out.n, 0);
    peri_log_done(&r.log);
}

TEST(log_below_its_level_writes_nothing) {
    struct rig r;
    rig_init(&r, 0);
    CHECK(!peri_log_begin(&r.log, PERI_LOG_DEBUG, "quiet"));
    CHECK_EQ(r.log.out.n, 0);
    peri_log_done(&r.log);
}

TEST(buf_formats_what_fits_and_what_does_not) {
    struct peri_buf b;
    char wide[600], want[700];
    memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    for (size_t before = 0; before < 300; before++) {
        peri_buf_init(&b, 0);
        for (size_t i = 0; i < before; i++) peri_buf_add_char(&b, '.');
        size_t cap = b.cap;
        CHECK_EQ(peri_buf_addf(&b, "%d-%s", 42, wide), PERI_OK);
        CHECK(b.cap > cap);
        CHECK_EQ(peri_buf_addf(&b, "%c", '!'), PERI_OK);
        snprintf(want, sizeof want, "42-%s!", wide);
        CHECK_STR(peri_str_from(peri_buf_str(&b), before), want);
        peri_buf_done(&b);
    }
}

TEST(buf_refuses_text_past_its_cap) {
    struct peri_buf b;
    peri_buf_init(&b, 8);
    CHECK_EQ(peri_buf_addf(&b, "%s", "1234"), PERI_OK);
    CHECK_EQ(peri_buf_addf(&b, "%s", "56789"), PERI_ETOOBIG);
    CHECK_STR(peri_buf_str(&b), "1234");
    peri_buf_done(&b);
}

TEST(buf_writes_numbers_as_printf_does) {
    static const uint64_t values[] = { 0, 9, 10, 99, 100, 1234567890, UINT64_MAX };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct peri_buf b;
        char want[32];
        peri_buf_init(&b, 0);
        CHECK_EQ(peri_buf_add_u64(&b, values[i]), PERI_OK);
        snprintf(want, sizeof want, "%" PRIu64, values[i]);
        CHECK_STR(peri_buf_str(&b), want);
        peri_buf_done(&b);
    }
}
