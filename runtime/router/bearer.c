#include "router/bearer.h"

bool peri_bearer_of(struct peri_str *token, const struct peri_exchange *x) {
    struct peri_str given = peri_exchange_header(x, PERI_STR("authorization"));
    if (given.n <= 7 || !peri_str_eq_nocase((struct peri_str){ given.p, 7 }, PERI_STR("bearer ")))
        return false;
    *token = peri_str_trim(peri_str_from(given, 7));
    return true;
}

bool peri_bearer_is(struct peri_str token, const struct peri_secret *secret) {
    unsigned char difference = token.n != secret->n;
    for (size_t i = 0; i < secret->n; i++)
        difference |= (unsigned char)((i < token.n ? token.p[i] : 0) ^ secret->p[i]);
    return difference == 0;
}
