#include "base/rand.h"

#include <sys/random.h>
#include <time.h>

void peri_rand_seed(struct peri_rand *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) { /* splitmix64, as the authors advise */
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        r->s[i] = z ^ z >> 31;
    }
}

void peri_rand_seed_os(struct peri_rand *r) {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        seed = (uint64_t)t.tv_nsec * 0x9e3779b97f4a7c15u ^ (uint64_t)t.tv_sec ^ (uintptr_t)r;
    }
    peri_rand_seed(r, seed);
}

void peri_rand_seed_as(struct peri_rand *r, uint64_t seed) {
    if (seed != 0)
        peri_rand_seed(r, seed);
    else
        peri_rand_seed_os(r);
}

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

uint64_t peri_rand_next(struct peri_rand *r) {
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t peri_rand_below(struct peri_rand *r, uint64_t bound) {
    if (bound == 0) return 0;
    for (uint64_t threshold = -bound % bound;;) {
        uint64_t x = peri_rand_next(r);
        if (x >= threshold) return x % bound;
    }
}

double peri_rand_unit(struct peri_rand *r) { return (double)(peri_rand_next(r) >> 11) * 0x1.0p-53; }
