#include "crypto/secret.h"

#include "base/test.h"

static struct peri_keyring *ring_new(void) {
    struct peri_keyring *ring = NULL;
    CHECK_EQ(peri_keyring_new(&ring), PERI_OK);
    return ring;
}

static enum peri_err add(const char *hex, struct peri_fault *fault) {
    struct peri_keyring *ring = ring_new();
    const struct peri_key *key;
    enum peri_err err = peri_keyring_add_hex(&key, ring, peri_str_of(hex), fault);
    peri_keyring_free(ring);
    return err;
}

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define LAST "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"
#define N    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"

TEST(secret_takes_hex_with_and_without_prefix) {
    struct peri_keyring *ring = ring_new();
    const char *forms[] = { ONES, "0x" ONES, "0X" ONES, "  " ONES " \t" };
    unsigned char want[32];
    memset(want, 0x11, sizeof want);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct peri_key *key = NULL;
        CHECK_EQ(peri_keyring_add_hex(&key, ring, peri_str_of(forms[i]), NULL), PERI_OK);
        CHECK(key != NULL && memcmp(peri_key_bytes(key), want, sizeof want) == 0);
    }
    peri_keyring_free(ring);
}

TEST(secret_refuses_zero_the_order_and_above) {
    CHECK_EQ(add(ZERO, NULL), PERI_EINVAL);
    CHECK_EQ(add(N, NULL), PERI_EINVAL);
    CHECK_EQ(add("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", NULL),
             PERI_EINVAL);
    CHECK_EQ(add(LAST, NULL), PERI_OK);
}

TEST(secret_faults_never_repeat_the_value) {
    const char *bad[] = { "deadbeef",
                          "deadbeef" ONES,
                          "zz11" ONES,
                          ZERO "deadbeef",
                          "",
                          N,
                          "11111111111111111111111111111111111111111111111111111111deadbeeg" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peri_fault fault = { PERI_OK, "" };
        CHECK_EQ(add(bad[i], &fault), PERI_EINVAL);
        CHECK(strlen(fault.text) > 20);
        CHECK(strstr(fault.text, "dead") == NULL && strstr(fault.text, "1111") == NULL);
        CHECK(strstr(fault.text, "ffff") == NULL && strstr(fault.text, "zz") == NULL);
    }
}

TEST(secret_says_when_the_ring_is_full) {
    struct peri_keyring *ring = ring_new();
    const struct peri_key *first = NULL, *key = NULL;
    CHECK_EQ(peri_keyring_add_hex(&first, ring, PERI_STR(ONES), NULL), PERI_OK);
    for (int i = 1; i < PERI_KEYRING_KEYS; i++)
        CHECK_EQ(peri_keyring_add_hex(&key, ring, PERI_STR(LAST), NULL), PERI_OK);
    CHECK_EQ(peri_keyring_add_hex(&key, ring, PERI_STR(ONES), NULL), PERI_EFULL);
    CHECK_EQ(peri_key_bytes(first)[31], 0x11);
    CHECK_EQ(peri_key_bytes(key)[31], 0x40);
    peri_keyring_free(ring);
}

TEST(secret_leaves_nothing_of_a_refused_key) {
    struct peri_keyring *ring = ring_new();
    const struct peri_key *key = NULL;
    CHECK_EQ(peri_keyring_add_hex(&key, ring, PERI_STR(LAST), NULL), PERI_OK);
    CHECK_EQ(peri_keyring_add_hex(&key, ring, PERI_STR(N), NULL), PERI_EINVAL);
    static const unsigned char nothing[32];
    CHECK(memcmp(peri_key_bytes(key) + 32, nothing, sizeof nothing) == 0);
    peri_keyring_free(ring);
}

/* The kernel's own account of the mapping: "dd" says left out of core dumps, "wf" wiped on fork. */
TEST(secret_pages_stay_out_of_core_dumps_and_children) {
    struct peri_keyring *ring = ring_new();
    const struct peri_key *key = NULL;
    CHECK_EQ(peri_keyring_add_hex(&key, ring, PERI_STR(ONES), NULL), PERI_OK);
    unsigned long at = (unsigned long)(uintptr_t)key, from, to;
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool is_inside = false, has_seen = false;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) is_inside = from <= at && at < to;
        if (!is_inside || strncmp(line, "VmFlags:", 8) != 0) continue;
        has_seen = true;
        CHECK(strstr(line, " dd") != NULL);
        CHECK(strstr(line, " wf") != NULL);
/* The sanitizers make mlock a promise only. */
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
        CHECK(!peri_keyring_is_locked(ring) || strstr(line, " lo") != NULL);
#endif
    }
    if (maps != NULL) fclose(maps);
    if (!has_seen) printf("skipped: this system tells no flags of mappings\n");
    peri_keyring_free(ring);
}

TEST(secret_survives_failing_allocations) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_keyring *ring = NULL;
        if (peri_keyring_new(&ring) == PERI_OK) peri_keyring_free(ring);
    }
}
