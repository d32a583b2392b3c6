#include "router/client_key.h"

size_t peri_client_keys(struct peri_str out[PERI_CLIENT_KEYS_MAX], const struct peri_exchange *x) {
    static const struct peri_str names[] = { PERI_STR_INIT("authorization"),
                                             PERI_STR_INIT("x-api-key"), PERI_STR_INIT("api-key") };
    static const struct peri_str scheme = PERI_STR_INIT("bearer ");
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct peri_str given = peri_exchange_header(x, names[i]);
        if (i == 0) {
            bool has_scheme = given.n > scheme.n &&
                              peri_str_eq_nocase((struct peri_str){ given.p, scheme.n }, scheme);
            given = has_scheme ? peri_str_from(given, scheme.n) : (struct peri_str){ NULL, 0 };
        }
        given = peri_str_trim(given);
        if (given.n > 0) out[count++] = given;
    }
    return count;
}

bool peri_client_key_is(struct peri_str key, const struct peri_secret *secret) {
    unsigned char difference = key.n != secret->n;
    for (size_t i = 0; i < secret->n; i++)
        difference |= (unsigned char)((i < key.n ? key.p[i] : 0) ^ secret->p[i]);
    return difference == 0;
}
