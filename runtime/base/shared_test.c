#include "base/shared.h"

#include <pthread.h>

#include "base/test.h"

static uint64_t fake_ns(void *arg) { return *(uint64_t *)arg; }

#define MS 1000000u

static struct peri_shared_value integer(int64_t n) {
    return (struct peri_shared_value){ .kind = PERI_SHARED_INTEGER, .integer = n };
}

static struct peri_shared_value text_value(struct peri_str s) {
    return (struct peri_shared_value){ .kind = PERI_SHARED_TEXT, .text = s };
}

static struct peri_shared_value get(struct peri_shared *shared, struct peri_str key) {
    static char room[PERI_SHARED_TEXT_MAX];
    struct peri_shared_value value;
    peri_shared_get(shared, &value, room, key);
    return value;
}

TEST(a_value_is_there_until_its_time_is_over) {
    uint64_t now = 5 * MS;
    struct peri_clock clock = { fake_ns, fake_ns, &now };
    struct peri_shared *shared;
    struct peri_shared_value value = text_value(PERI_STR("yes"));
    CHECK_EQ(peri_shared_new(&shared, 0, &clock), PERI_OK);
    CHECK_EQ(get(shared, PERI_STR("a")).kind, PERI_SHARED_NONE);
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("a"), &value, 10), PERI_OK);
    now += 9 * MS;
    CHECK_STR(get(shared, PERI_STR("a")).text, "yes");
    now += 1 * MS;
    CHECK_EQ(get(shared, PERI_STR("a")).kind, PERI_SHARED_NONE);
    CHECK_EQ(peri_shared_count(shared), 0);
    CHECK_EQ(peri_shared_bytes(shared), 0);
    peri_shared_free(shared);
}

TEST(texts_may_grow_and_shrink_and_change_their_kind) {
    struct peri_shared *shared;
    struct peri_shared_value value;
    CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
    static const char long_text[] = "a text that is longer than the one before it";
    value = text_value(PERI_STR("short"));
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("k"), &value, 0), PERI_OK);
    value = text_value(peri_str_of(long_text));
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("k"), &value, 0), PERI_OK);
    CHECK_STR(get(shared, PERI_STR("k")).text, long_text);
    value = text_value(PERI_STR(""));
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("k"), &value, 0), PERI_OK);
    CHECK_EQ(get(shared, PERI_STR("k")).text.n, 0);
    value = integer(7);
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("k"), &value, 0), PERI_OK);
    CHECK_EQ(get(shared, PERI_STR("k")).integer, 7);
    CHECK_EQ(peri_shared_count(shared), 1);
    value.kind = PERI_SHARED_NONE;
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("k"), &value, 0), PERI_OK);
    CHECK_EQ(peri_shared_bytes(shared), 0);
    peri_shared_free(shared);
}

TEST(a_counter_keeps_the_time_of_its_first_use) {
    uint64_t now = MS;
    struct peri_clock clock = { fake_ns, fake_ns, &now };
    struct peri_shared *shared;
    CHECK_EQ(peri_shared_new(&shared, 0, &clock), PERI_OK);
    for (int i = 1; i <= 3; i++) {
        struct peri_shared_value one = integer(1);
        CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("n"), &one, 100), PERI_OK);
        CHECK_EQ(one.integer, i);
        now += 40 * MS;
    }
    struct peri_shared_value one = integer(1);
    CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("n"), &one, 100), PERI_OK);
    CHECK_EQ(one.integer, 1);
    struct peri_shared_value much = integer(INT64_MAX);
    CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("n"), &much, 0), PERI_OK);
    CHECK(much.integer == INT64_MAX);
    struct peri_shared_value half = { .kind = PERI_SHARED_NUMBER, .number = 0.5 };
    CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("cost"), &half, 0), PERI_OK);
    CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("cost"), &half, 0), PERI_OK);
    CHECK(half.number == 1.0);
    struct peri_shared_value name = text_value(PERI_STR("x"));
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("name"), &name, 0), PERI_OK);
    CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("name"), &one, 0), PERI_EINVAL);
    CHECK_EQ(peri_shared_add(shared, 0, PERI_STR("other"), &name, 0), PERI_EINVAL);
    peri_shared_free(shared);
}

TEST(a_swap_needs_the_value_it_expects) {
    struct peri_shared *shared;
    struct peri_shared_value none = { .kind = PERI_SHARED_NONE }, one = integer(1),
                             two = integer(2);
    bool is_set;
    CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
    CHECK_EQ(peri_shared_swap(shared, 0, PERI_STR("k"), &one, &two, 0, &is_set), PERI_OK);
    CHECK(!is_set);
    CHECK_EQ(peri_shared_swap(shared, 0, PERI_STR("k"), &none, &one, 0, &is_set), PERI_OK);
    CHECK(is_set);
    CHECK_EQ(peri_shared_swap(shared, 0, PERI_STR("k"), &none, &two, 0, &is_set), PERI_OK);
    CHECK(!is_set);
    CHECK_EQ(peri_shared_swap(shared, 0, PERI_STR("k"), &one, &none, 0, &is_set), PERI_OK);
    CHECK(is_set);
    CHECK_EQ(peri_shared_count(shared), 0);
    peri_shared_free(shared);
}

TEST(a_full_table_says_so_and_takes_more_when_something_expires) {
    uint64_t now = MS;
    struct peri_clock clock = { fake_ns, fake_ns, &now };
    struct peri_shared *shared;
    enum peri_err err = PERI_OK;
    char key[20];
    int stored = 0;
    CHECK_EQ(peri_shared_new(&shared, 1 << 20, &clock), PERI_OK);
    struct peri_shared_value value =
        text_value(PERI_STR("0123456789012345678901234567890123456789"));
    for (; stored < 100000 && err == PERI_OK; stored++) {
        snprintf(key, sizeof key, "key-%d", stored);
        err = peri_shared_set(shared, 0, peri_str_of(key), &value, 50);
    }
    CHECK_EQ(err, PERI_EFULL);
    CHECK(peri_shared_bytes(shared) <= 1 << 20);
    now += 50 * MS;
    CHECK_EQ(peri_shared_set(shared, 0, peri_str_of(key), &value, 50), PERI_OK);
    struct peri_str long_key = { (char[PERI_SHARED_KEY_MAX + 1]){ 0 }, PERI_SHARED_KEY_MAX + 1 };
    CHECK_EQ(peri_shared_set(shared, 0, long_key, &value, 0), PERI_ETOOBIG);
    CHECK_EQ(get(shared, long_key).kind, PERI_SHARED_NONE);
    peri_shared_free(shared);
}

static void *add_many(void *arg) {
    for (int i = 0; i < 20000; i++) {
        struct peri_shared_value one = integer(1);
        char key[8] = { (char)('a' + i % 5), '\0' };
        if (peri_shared_add(arg, 0, peri_str_of(key), &one, 0) != PERI_OK) abort();
    }
    return NULL;
}

TEST(no_addition_of_several_threads_is_lost) {
    struct peri_shared *shared;
    pthread_t threads[4];
    CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&threads[i], NULL, add_many, shared), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    int64_t sum = 0;
    for (char c = 'a'; c <= 'e'; c++) sum += get(shared, (struct peri_str){ &c, 1 }).integer;
    CHECK_EQ(sum, 80000);
    peri_shared_free(shared);
}

TEST(a_failed_allocation_changes_nothing) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_shared *shared;
        long from = test_fail_from;
        test_fail_from = -1;
        CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
        test_fail_from = from;
        struct peri_shared_value a = text_value(PERI_STR("one")),
                                 b = text_value(PERI_STR("longer"));
        enum peri_err first = peri_shared_set(shared, 0, PERI_STR("k"), &a, 0);
        enum peri_err second = peri_shared_set(shared, 0, PERI_STR("k"), &b, 0);
        test_fail_from = -1;
        if (second == PERI_OK)
            CHECK_STR(get(shared, PERI_STR("k")).text, "longer");
        else if (first == PERI_OK)
            CHECK_STR(get(shared, PERI_STR("k")).text, "one");
        else
            CHECK_EQ(peri_shared_count(shared), 0);
        test_fail_from = from;
        peri_shared_free(shared);
    }
}

static char *fill_share(struct peri_shared *shared, unsigned share, const char *prefix,
                        uint64_t ttl_ms) {
    static char key[40];
    struct peri_shared_value value = text_value(PERI_STR("0123456789"));
    enum peri_err err = PERI_OK;
    for (int i = 0; i < 100000 && err == PERI_OK; i++) {
        snprintf(key, sizeof key, "%s-%d", prefix, i);
        err = peri_shared_set(shared, share, peri_str_of(key), &value, ttl_ms);
    }
    CHECK_EQ(err, PERI_EFULL);
    return key;
}

TEST(a_share_that_is_full_is_full_for_its_owner_only) {
    uint64_t now = MS;
    struct peri_clock clock = { fake_ns, fake_ns, &now };
    struct peri_shared *shared;
    CHECK_EQ(peri_shared_new(&shared, 65536, &clock), PERI_OK);
    unsigned hog = peri_shared_share(shared, PERI_STR("hog")),
             good = peri_shared_share(shared, PERI_STR("good"));
    CHECK(hog != good && hog != 0 && good != 0);
    CHECK_EQ(peri_shared_share(shared, PERI_STR("hog")), hog);
    struct peri_str last = peri_str_of(fill_share(shared, hog, "hog", 0));
    struct peri_shared_value one = integer(1), none = { .kind = PERI_SHARED_NONE };
    bool is_set;
    CHECK_EQ(peri_shared_add(shared, hog, last, &one, 0), PERI_EFULL);
    CHECK_EQ(peri_shared_swap(shared, hog, last, &none, &one, 0, &is_set), PERI_EFULL);
    CHECK(!is_set);
    CHECK_EQ(peri_shared_add(shared, good, PERI_STR("good"), &one, 0), PERI_OK);
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("nobody's"), &one, 0), PERI_OK);
    fill_share(shared, good, "good", 0);
    /* what another one stores over it is no longer the hog's */
    size_t before = peri_shared_share_bytes(shared, hog);
    CHECK_EQ(peri_shared_set(shared, 0, PERI_STR("hog-0"), &one, 0), PERI_OK);
    CHECK(peri_shared_share_bytes(shared, hog) < before);
    CHECK_EQ(peri_shared_add(shared, hog, PERI_STR("hog-more"), &one, 0), PERI_OK);
    CHECK_EQ(get(shared, PERI_STR("hog-0")).integer, 1);
    CHECK_EQ(peri_shared_share_bytes(shared, 0) + peri_shared_share_bytes(shared, hog) +
                 peri_shared_share_bytes(shared, good),
             peri_shared_bytes(shared));
    peri_shared_free(shared);
}

TEST(what_has_expired_anywhere_makes_room_in_a_full_share) {
    uint64_t now = MS;
    struct peri_clock clock = { fake_ns, fake_ns, &now };
    struct peri_shared *shared;
    CHECK_EQ(peri_shared_new(&shared, 65536, &clock), PERI_OK);
    unsigned hog = peri_shared_share(shared, PERI_STR("hog"));
    fill_share(shared, hog, "first", 200);
    now += 200 * MS;
    fill_share(shared, hog, "second", 200);
    CHECK(peri_shared_share_bytes(shared, hog) <= 65536);
    peri_shared_free(shared);
}

/* Keys are many and of one part as often as not: what is counted is that of all parts. */
TEST(refused_writes_look_only_for_what_can_have_expired) {
    uint64_t now = 1000 * MS;
    struct peri_clock clock = { fake_ns, fake_ns, &now };
    struct peri_shared *shared;
    struct peri_shared_value value = integer(1);
    char key[16];
    int count = 0;
    CHECK_EQ(peri_shared_new(&shared, 65536, &clock), PERI_OK);
    enum peri_err err = PERI_OK;
    for (; err == PERI_OK; count++) { /* two of them for a while, the others for ever */
        int n = snprintf(key, sizeof key, "k%d", count);
        err = peri_shared_set(shared, 1, (struct peri_str){ key, (size_t)n }, &value,
                              count < 2 ? 5000 : 0);
    }
    CHECK_EQ(err, PERI_EFULL);
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(key, sizeof key, "n%d", i);
        now += MS;
        CHECK_EQ(peri_shared_set(shared, 1, (struct peri_str){ key, (size_t)n }, &value, 0),
                 PERI_EFULL);
    }
    CHECK_EQ(peri_shared_looked_at(shared), 0);
    now += UINT64_C(5000) * MS;
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(key, sizeof key, "m%d", i);
        now += MS;
        err = peri_shared_set(shared, 1, (struct peri_str){ key, (size_t)n }, &value, 0);
        CHECK_EQ(err, i < 2 ? PERI_OK : PERI_EFULL);
    }
    CHECK(peri_shared_looked_at(shared) <= (size_t)count);
    peri_shared_free(shared);
}

TEST(owners_beyond_the_last_share_have_one_together) {
    struct peri_shared *shared;
    char name[20];
    CHECK_EQ(peri_shared_new(&shared, 0, &peri_clock_real), PERI_OK);
    for (unsigned i = 1; i < PERI_SHARED_SHARES + 5; i++) {
        snprintf(name, sizeof name, "policy %u", i);
        CHECK_EQ(peri_shared_share(shared, peri_str_of(name)), i < PERI_SHARED_SHARES ? i : 0);
    }
    CHECK_EQ(peri_shared_share(shared, PERI_STR("policy 3")), 3);
    peri_shared_free(shared);
}
