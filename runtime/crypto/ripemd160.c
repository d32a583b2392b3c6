#include "crypto/hash.h"

static uint32_t rotate(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

static uint32_t mix(int round, uint32_t x, uint32_t y, uint32_t z) {
    switch (round) {
    case 0: return x ^ y ^ z;
    case 1: return (x & y) | (~x & z);
    case 2: return (x | ~y) ^ z;
    case 3: return (x & z) | (y & ~z);
    default: return x ^ (y | ~z);
    }
}

/* One of the two parallel lines: which word each of the 80 steps takes, how far it turns, and the constant
 * and function of each round of 16. */
struct line {
    unsigned char word[80], turn[80];
    uint32_t constant[5];
    bool is_reversed; /* the right line runs through the five functions backwards */
};

static const struct line left = {
    { 0,  1, 2,  3, 4,  5,  6, 7,  8, 9,  10, 11, 12, 13, 14, 15, 7,  4,  13, 1,
      10, 6, 15, 3, 12, 0,  9, 5,  2, 14, 11, 8,  3,  10, 14, 4,  9,  15, 8,  1,
      2,  7, 0,  6, 13, 11, 5, 12, 1, 9,  11, 10, 0,  8,  12, 4,  13, 3,  7,  15,
      14, 5, 6,  2, 4,  0,  5, 9,  7, 12, 2,  10, 14, 1,  3,  8,  11, 6,  15, 13 },
    { 11, 14, 15, 12, 5, 8,  7,  9,  11, 13, 14, 15, 6,  7,  9,  8,  7,  6,  8,  13,
      11, 9,  7,  15, 7, 12, 15, 9,  11, 7,  13, 12, 11, 13, 6,  7,  14, 9,  13, 15,
      14, 8,  13, 6,  5, 12, 7,  5,  11, 12, 14, 15, 14, 15, 9,  8,  9,  14, 5,  6,
      8,  6,  5,  12, 9, 15, 5,  11, 6,  8,  13, 12, 5,  12, 13, 14, 11, 8,  5,  6 },
    { 0, 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xa953fd4e },
    false,
};

static const struct line right = {
    { 5,  14, 7,  0,  9,  2,  11, 4,  13, 6, 15, 8, 1,  10, 3,  12, 6, 11, 3, 7,
      0,  13, 5,  10, 14, 15, 8,  12, 4,  9, 1,  2, 15, 5,  1,  3,  7, 14, 6, 9,
      11, 8,  12, 2,  10, 0,  4,  13, 8,  6, 4,  1, 3,  11, 15, 0,  5, 12, 2, 13,
      9,  7,  10, 14, 12, 15, 10, 4,  1,  5, 8,  7, 6,  2,  13, 14, 0, 3,  9, 11 },
    { 8,  9,  9,  11, 13, 15, 15, 5, 7,  7,  8,  11, 14, 14, 12, 6,  9,  13, 15, 7,
      12, 8,  9,  11, 7,  7,  12, 7, 6,  15, 13, 11, 9,  7,  15, 11, 8,  6,  6,  14,
      12, 13, 5,  14, 13, 13, 7,  5, 15, 5,  8,  11, 14, 14, 6,  14, 6,  9,  12, 9,
      12, 5,  15, 8,  8,  5,  12, 9, 12, 5,  14, 6,  8,  13, 6,  5,  15, 13, 11, 11 },
    { 0x50a28be6, 0x5c4dd124, 0x6d703ef3, 0x7a6d76e9, 0 },
    true,
};

static void run(uint32_t s[5], const uint32_t words[16], const struct line *line) {
    for (int i = 0; i < 80; i++) {
        int round = i / 16;
        uint32_t t = s[0] + mix(line->is_reversed ? 4 - round : round, s[1], s[2], s[3]) +
                     words[line->word[i]] + line->constant[round];
        t = rotate(t, line->turn[i]) + s[4];
        s[0] = s[4];
        s[4] = s[3];
        s[3] = rotate(s[2], 10);
        s[2] = s[1];
        s[1] = t;
    }
}

static void compress(uint32_t h[5], const unsigned char block[64]) {
    uint32_t words[16], a[5], b[5];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] | (uint32_t)block[4 * i + 1] << 8 |
                   (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
    memcpy(a, h, sizeof a);
    memcpy(b, h, sizeof b);
    run(a, words, &left);
    run(b, words, &right);
    uint32_t t = h[1] + a[2] + b[3];
    h[1] = h[2] + a[3] + b[4];
    h[2] = h[3] + a[4] + b[0];
    h[3] = h[4] + a[0] + b[1];
    h[4] = h[0] + a[1] + b[2];
    h[0] = t;
}

void peri_ripemd160_begin(struct peri_ripemd160 *r) {
    *r = (struct peri_ripemd160){ .h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                                         0xc3d2e1f0 } };
}

void peri_ripemd160_add(struct peri_ripemd160 *r, struct peri_str blocks) {
    for (; blocks.n >= PERI_RIPEMD160_BLOCK; r->bytes += PERI_RIPEMD160_BLOCK) {
        compress(r->h, (const unsigned char *)blocks.p);
        blocks = peri_str_from(blocks, PERI_RIPEMD160_BLOCK);
    }
}

void peri_ripemd160_end(struct peri_ripemd160 *r, unsigned char out[20], struct peri_str rest) {
    size_t whole = rest.n - rest.n % PERI_RIPEMD160_BLOCK;
    peri_ripemd160_add(r, (struct peri_str){ rest.p, whole });
    rest = peri_str_from(rest, whole);
    uint64_t bits = (r->bytes + rest.n) * 8;
    unsigned char last[128] = { 0 };
    if (rest.n > 0) memcpy(last, rest.p, rest.n);
    last[rest.n] = 0x80;
    size_t total = rest.n < 56 ? 64 : 128;
    for (int i = 0; i < 8; i++) last[total - 8 + (size_t)i] = (unsigned char)(bits >> (8 * i));
    compress(r->h, last);
    if (total == 128) compress(r->h, last + 64);
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(r->h[i / 4] >> (8 * (i % 4)));
}

void peri_ripemd160(unsigned char out[20], struct peri_str bytes) {
    struct peri_ripemd160 r;
    peri_ripemd160_begin(&r);
    peri_ripemd160_end(&r, out, bytes);
}
