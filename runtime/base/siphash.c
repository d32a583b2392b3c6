#include "base/siphash.h"

#include <string.h>

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

uint64_t peri_siphash(const uint64_t secret[2], struct peri_str key) {
    uint64_t v[4] = { secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du,
                      secret[0] ^ 0x6c7967656e657261u, secret[1] ^ 0x7465646279746573u };
    for (size_t at = 0; at <= key.n; at += 8) {
        uint64_t word = 0;
        size_t n = key.n - at < 8 ? key.n - at : 8;
        if (n > 0) memcpy(&word, key.p + at, n);
        if (n < 8) word |= (uint64_t)key.n << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
