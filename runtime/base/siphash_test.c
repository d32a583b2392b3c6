#include "base/siphash.h"
#include "base/test.h"

/* Against the same function written for one byte at a time. */
static uint64_t left(uint64_t x, int k) { return x << k | x >> (64 - k); }

static void mix(uint64_t v[4]) {
    v[0] += v[1], v[1] = left(v[1], 13), v[1] ^= v[0], v[0] = left(v[0], 32);
    v[2] += v[3], v[3] = left(v[3], 16), v[3] ^= v[2];
    v[0] += v[3], v[3] = left(v[3], 21), v[3] ^= v[0];
    v[2] += v[1], v[1] = left(v[1], 17), v[1] ^= v[2], v[2] = left(v[2], 32);
}

static uint64_t slow(const uint64_t key[2], const unsigned char *p, size_t n) {
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                      key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u };
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)p[i] << (i % 8 * 8);
        if (i % 8 != 7) continue;
        v[3] ^= word;
        mix(v);
        v[0] ^= word;
        word = 0;
    }
    word |= (uint64_t)n << 56;
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

TEST(siphash_is_the_same_at_every_length) {
    static const uint64_t key[2] = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
    unsigned char bytes[64];
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 37);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct peri_str s = { (const char *)bytes, n };
        CHECK(peri_siphash(key, s) == slow(key, bytes, n));
    }
}

TEST(siphash_depends_on_the_secret) {
    static const uint64_t one[2] = { 1, 2 }, other[2] = { 1, 3 };
    CHECK(peri_siphash(one, PERI_STR("name")) != peri_siphash(other, PERI_STR("name")));
}
