#include "net/retry_after.h"

#include "base/test.h"

/* 1994-11-06 08:49:37 UTC: the moment RFC 9110 writes in all three forms. */
#define THEN_S 784111777

static uint64_t after(const char *name, const char *value) {
    struct peri_header h = { peri_str_of(name), peri_str_of(value) };
    return peri_retry_after(&h, 1, (uint64_t)(THEN_S - 5) * 1000000000u, 60000);
}

TEST(retry_after_reads_what_providers_send) {
    static const struct {
        const char *name, *value;
        uint64_t ms;
    } variants[] = {
        { "retry-after", "1", 1000 },
        { "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT", 5000 },
        { "retry-after", "Sunday, 06-Nov-94 08:49:37 GMT", 5000 },
        { "retry-after", "Sun Nov  6 08:49:37 1994", 5000 },
        { "retry-after", "Sun, 06 Nov 1994 08:49:30 GMT", 0 },
        { "retry-after", "0", 0 },
        { "retry-after", "-1", PERI_RETRY_UNKNOWN },
        { "retry-after", "1e9", 60000 },
        { "retry-after", "999999999999999999999999", 60000 },
        { "retry-after", "abc", PERI_RETRY_UNKNOWN },
        { "retry-after", "", PERI_RETRY_UNKNOWN },
        { "retry-after", " 2.5 ", 2500 },
        { "retry-after-ms", "40", 40 },
        { "retry-after-ms", "40.6", 41 },
        { "retry-after-ms", "-40", PERI_RETRY_UNKNOWN },
        { "x-ratelimit-reset-requests", "6m0s", 60000 },
        { "x-ratelimit-reset-tokens", "12ms", 12 },
        { "x-ratelimit-reset-tokens", "1m2.5s", 60000 },
        { "x-ratelimit-reset-tokens", "1s200ms", 1200 },
        { "x-ratelimit-reset-tokens", "7", 7000 },
        { "x-ratelimit-reset-tokens", "-1", PERI_RETRY_UNKNOWN },
        { "x-ratelimit-reset-tokens", "6m0", PERI_RETRY_UNKNOWN },
        { "x-ratelimit-reset-tokens", "5 s", PERI_RETRY_UNKNOWN },
        { "content-type", "1", PERI_RETRY_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        uint64_t ms = after(variants[i].name, variants[i].value);
        if (ms != variants[i].ms) fprintf(stderr, "%s: %s\n", variants[i].name, variants[i].value);
        CHECK_EQ(ms, variants[i].ms);
    }
    CHECK_EQ(peri_retry_after(NULL, 0, 0, 60000), PERI_RETRY_UNKNOWN);
}

TEST(retry_after_takes_the_most_exact_header) {
    struct peri_header h[] = {
        { PERI_STR("x-ratelimit-reset-tokens"), PERI_STR("9s") },
        { PERI_STR("Retry-After"), PERI_STR("2") },
        { PERI_STR("Retry-After-Ms"), PERI_STR("1500") },
    };
    CHECK_EQ(peri_retry_after(h, 1, 0, 60000), 9000);
    CHECK_EQ(peri_retry_after(h, 2, 0, 60000), 2000);
    CHECK_EQ(peri_retry_after(h, 3, 0, 60000), 1500);
    h[2].value = PERI_STR("soon");
    CHECK_EQ(peri_retry_after(h, 3, 0, 60000), 2000);
}

TEST(retry_after_waits_for_the_limit_that_is_spent) {
    struct peri_header h[] = {
        { PERI_STR("x-ratelimit-reset-requests"), PERI_STR("1s") },
        { PERI_STR("x-ratelimit-reset-tokens"), PERI_STR("8s") },
        { PERI_STR("x-ratelimit-remaining-requests"), PERI_STR("12") },
        { PERI_STR("x-ratelimit-remaining-tokens"), PERI_STR("900") },
    };
    CHECK_EQ(peri_retry_after(h, 2, 0, 60000), 8000);
    h[2].value = PERI_STR("0");
    CHECK_EQ(peri_retry_after(h, 4, 0, 60000), 1000);
    h[2].value = PERI_STR("3");
    h[3].value = PERI_STR("0");
    CHECK_EQ(peri_retry_after(h, 4, 0, 60000), 8000);
}

TEST(http_date_knows_the_calendar) {
    static const struct {
        const char *text;
        int64_t seconds;
    } dates[] = {
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Tue, 29 Feb 2000 12:00:00 GMT", 951825600 },
        { "Sun, 01 Mar 2026 00:00:00 GMT", 1772323200 },
        { "Sat, 31 Dec 2033 23:59:59 GMT", 2019686399 },
        { "Fri, 31-Dec-99 23:59:59 GMT", 946684799 },
    };
    int64_t seconds;
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        CHECK_EQ(peri_http_date(&seconds, peri_str_of(dates[i].text)), PERI_OK);
        CHECK_EQ(seconds, dates[i].seconds);
    }
    static const char *const wrong[] = { "",
                                         "Thu",
                                         "Thu, 01 Jan 1970 00:00:00",
                                         "Thu, 01 Foo 1970 00:00:00 GMT",
                                         "Thu, 41 Jan 1970 00:00:00 GMT",
                                         "Thu, 01 Jan 1970 24:00:00 GMT",
                                         "Thu, 01 Jan 1970 00:00:00 GMT+1",
                                         "1970-01-01T00:00:00Z" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQ(peri_http_date(&seconds, peri_str_of(wrong[i])), PERI_EMALFORMED);
}

TEST(retry_after_reads_no_byte_too_far) {
    static const char *const values[] = {
        "1", "1.", "6m", "12m", "1e", "1e9", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6"
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        for (size_t n = 0; n <= strlen(values[i]); n++) {
            uint64_t ms;
            int64_t seconds;
            char *p = test_guarded(values[i], n);
            enum peri_err err = peri_duration_ms(&ms, (struct peri_str){ p, n });
            CHECK(err == PERI_OK || err == PERI_EMALFORMED);
            err = peri_http_date(&seconds, (struct peri_str){ p, n });
            CHECK(err == PERI_OK || err == PERI_EMALFORMED);
            test_guarded_free(p, n);
        }
}

TEST(retry_after_is_read_from_words) {
    static const struct {
        const char *body;
        uint64_t ms;
    } cases[] = {
        { "[{\"error\":{\"details\":[{\"retryDelay\":\"1.2s\"}]}}]", 1200 },
        { "{\"retryDelay\": \"0.4s\"}", 400 },
        { "Rate limit reached. Please try again in 6m0s. Visit", 360000 },
        { "Please try again in 340ms.", 340 },
        { "please TRY AGAIN IN 12s", 12000 },
        { "Quota exceeded. Please retry in 1.2s.", 1200 },
        { "Please retry after 20 seconds.", 20000 },
        { "try again in 2 minutes", 120000 },
        { "retry in 1 hour", 3600000 },
        { "try again in a while", PERI_RETRY_UNKNOWN },
        { "retry after the weekend, or retry in 3s", 3000 },
        { "retryDelay", PERI_RETRY_UNKNOWN },
        { "", PERI_RETRY_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(peri_retry_after_words(peri_str_of(cases[i].body), 7200000), cases[i].ms);
    CHECK_EQ(peri_retry_after_words(PERI_STR("retry in 900h"), 60000), 60000);
}
