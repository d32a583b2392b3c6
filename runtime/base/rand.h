/* Random numbers for choices (never for keys): xoshiro256**, Blackman and Vigna 2018. Seedable, so that a
 * failing run can be run again. */
#ifndef PERI_BASE_RAND_H
#define PERI_BASE_RAND_H

#include <stdint.h>

struct peri_rand {
    uint64_t s[4];
};

void peri_rand_seed(struct peri_rand *r, uint64_t seed);
/* From the operating system. */
void peri_rand_seed_os(struct peri_rand *r);
/* As configured: `seed`, or for 0 from the operating system. */
void peri_rand_seed_as(struct peri_rand *r, uint64_t seed);
uint64_t peri_rand_next(struct peri_rand *r);
/* Evenly from 0 to bound - 1; 0 when bound is 0. */
uint64_t peri_rand_below(struct peri_rand *r, uint64_t bound);
/* Evenly from 0 up to but not including 1. */
double peri_rand_unit(struct peri_rand *r);

#endif
