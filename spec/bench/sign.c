/* What one signature of a Gonka request costs, hashing of the body and headers included: CPU time of this thread.
 *
 *   sign    prints lines of "sign BODY_BYTES PLAIN_US VERIFIED_US", medians of 9 interleaved rounds of 1,000 signatures
 *
 * Built with the tests, as bench_sign.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "gonka/gonka_sign.h"
#include "crypto/stamps.h"

enum { ROUNDS = 9, SIGNATURES = 1000, BODY_MAX = 65536 };

struct bench {
    struct peri_hasher *hasher;
    struct peri_signer *signers[2]; /* plain, and one that checks what it made */
    struct peri_gonka_wallet wallet;
    struct peri_stamps stamps;
};

static void need(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "sign: %s failed\n", what);
    exit(1);
}

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double round_us(struct bench *b, const struct peri_signer *signer, struct peri_str body) {
    struct peri_gonka_signed values;
    struct peri_header headers[PERI_GONKA_HEADERS];
    double start = cpu_us();
    for (int i = 0; i < SIGNATURES; i++) {
        uint64_t stamp = peri_stamp(&b->stamps, peri_clock_wall_ns(&peri_clock_real));
        need(peri_gonka_sign(&values, b->hasher, signer, &b->wallet, PERI_GONKA_HASHED, body, stamp,
                             PERI_STR("gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le")) == PERI_OK,
             "a signature");
        peri_gonka_headers(headers, &values, &b->wallet);
    }
    return (cpu_us() - start) / SIGNATURES;
}

static void measure(struct bench *b, const char *bytes, size_t n) {
    double us[2][ROUNDS];
    for (int round = 0; round < ROUNDS; round++)
        for (int kind = 0; kind < 2; kind++)
            us[kind][round] = round_us(b, b->signers[kind], (struct peri_str){ bytes, n });
    for (int kind = 0; kind < 2; kind++) qsort(us[kind], ROUNDS, sizeof us[kind][0], by_size);
    printf("sign\t%zu\t%.1f\t%.1f\n", n, us[0][ROUNDS / 2], us[1][ROUNDS / 2]);
}

int main(void) {
    struct bench b = { .hasher = NULL };
    struct peri_keyring *ring;
    const struct peri_key *key;
    static char body[BODY_MAX];
    memset(body, 'a', sizeof body);
    peri_stamps_init(&b.stamps, 1);
    need(peri_hasher_new(&b.hasher) == PERI_OK, "the hasher");
    need(peri_signer_new(&b.signers[0], false) == PERI_OK, "the signer");
    need(peri_signer_new(&b.signers[1], true) == PERI_OK, "the verifying signer");
    need(peri_keyring_new(&ring) == PERI_OK, "the keyring");
    need(peri_keyring_add_hex(
             &key, ring,
             PERI_STR("1111111111111111111111111111111111111111111111111111111111111111"),
             NULL) == PERI_OK,
         "the key");
    need(peri_gonka_wallet_init(&b.wallet, b.hasher, b.signers[0], key, PERI_STR(""), NULL) ==
             PERI_OK,
         "the wallet");
    measure(&b, body, 1024);
    measure(&b, body, BODY_MAX);
    peri_keyring_free(ring);
    peri_signer_free(b.signers[0]);
    peri_signer_free(b.signers[1]);
    peri_hasher_free(b.hasher);
    return 0;
}
