#include "crypto/hash.h"

/* Bytes of the state that take input: 200 less twice the digest. */
#define RATE PERI_KECCAK256_BLOCK /* bytes taken up between two permutations */

static uint64_t rotate(uint64_t v, unsigned n) { return v << n | v >> (64 - n); }

/* Keccak-f[1600]: theta, rho with pi, chi, iota (Keccak reference 3.0, section 1.2). */
static void permute(uint64_t a[25]) {
    static const uint64_t round_constants[24] = {
        0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
        0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
        0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
        0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
        0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
        0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008
    };
    /* Where the lane taken up goes next, and how far it is turned, along the one cycle pi makes. */
    static const unsigned char place[24] = { 10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                             15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1 };
    static const unsigned char turn[24] = { 1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                            27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44 };
    for (int round = 0; round < 24; round++) {
        uint64_t column[5];
        for (int x = 0; x < 5; x++) column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        for (int x = 0; x < 5; x++) {
            uint64_t d = column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5) a[y + x] ^= d;
        }
        uint64_t carried = a[1];
        for (int i = 0; i < 24; i++) {
            uint64_t next = a[place[i]];
            a[place[i]] = rotate(carried, turn[i]);
            carried = next;
        }
        for (int y = 0; y < 25; y += 5) {
            uint64_t row[5];
            memcpy(row, a + y, sizeof row);
            for (int x = 0; x < 5; x++) a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
        }
        a[0] ^= round_constants[round];
    }
}

static void absorb(uint64_t state[25], const unsigned char block[RATE]) {
    for (int i = 0; i < RATE; i++) state[i / 8] ^= (uint64_t)block[i] << (8 * (i % 8));
    permute(state);
}

void peri_keccak256_begin(struct peri_keccak256 *k) { memset(k, 0, sizeof *k); }

void peri_keccak256_add(struct peri_keccak256 *k, struct peri_str blocks) {
    for (; blocks.n >= RATE; blocks = peri_str_from(blocks, RATE))
        absorb(k->lanes, (const unsigned char *)blocks.p);
}

void peri_keccak256_end(struct peri_keccak256 *k, unsigned char out[32], struct peri_str rest) {
    size_t whole = rest.n - rest.n % RATE;
    peri_keccak256_add(k, (struct peri_str){ rest.p, whole });
    rest = peri_str_from(rest, whole);
    unsigned char last[RATE] = { 0 };
    if (rest.n > 0) memcpy(last, rest.p, rest.n);
    last[rest.n] ^= 0x01;
    last[RATE - 1] ^= 0x80;
    absorb(k->lanes, last);
    for (int i = 0; i < 32; i++) out[i] = (unsigned char)(k->lanes[i / 8] >> (8 * (i % 8)));
}

void peri_keccak256(unsigned char out[32], struct peri_str bytes) {
    struct peri_keccak256 k;
    peri_keccak256_begin(&k);
    peri_keccak256_end(&k, out, bytes);
}
