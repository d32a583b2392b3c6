#include "fleet/health.h"

#include "base/test.h"

TEST(a_status_says_what_it_is_about) {
    static const struct {
        int status;
        enum peri_err err;
        enum peri_scope scope;
    } cases[] = {
        { 200, PERI_OK, PERI_SCOPE_REQUEST },          { 204, PERI_OK, PERI_SCOPE_REQUEST },
        { 301, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },  { 400, PERI_EREJECTED, PERI_SCOPE_REQUEST },
        { 401, PERI_EAUTH, PERI_SCOPE_KEY },           { 402, PERI_EAUTH, PERI_SCOPE_KEY },
        { 403, PERI_EAUTH, PERI_SCOPE_KEY },           { 404, PERI_ENOTFOUND, PERI_SCOPE_ENDPOINT },
        { 405, PERI_ENOTFOUND, PERI_SCOPE_ENDPOINT },  { 407, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 408, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },  { 409, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 410, PERI_ENOTFOUND, PERI_SCOPE_ENDPOINT },  { 413, PERI_EREJECTED, PERI_SCOPE_REQUEST },
        { 415, PERI_EREJECTED, PERI_SCOPE_REQUEST },   { 421, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 422, PERI_EREJECTED, PERI_SCOPE_REQUEST },   { 425, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 429, PERI_ERATELIMIT, PERI_SCOPE_PROVIDER }, { 431, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 451, PERI_EREJECTED, PERI_SCOPE_REQUEST },   { 499, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 500, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },  { 501, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 503, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },  { 522, PERI_EUPSTREAM, PERI_SCOPE_PROVIDER },
        { 529, PERI_ERATELIMIT, PERI_SCOPE_PROVIDER },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_blame b = peri_health_of_status(cases[i].status);
        CHECK_EQ(b.err, cases[i].err);
        CHECK_EQ(b.scope, cases[i].scope);
    }
}

TEST(what_says_nothing_about_a_provider_is_about_the_request) {
    static const enum peri_err ours[] = { PERI_ECANCELED, PERI_EREJECTED, PERI_EUNFIT,
                                          PERI_EEMPTY,    PERI_ENOMEM,    PERI_EDEADLINE,
                                          PERI_EPOLICY,   PERI_ETOOBIG,   PERI_ESTOPPING };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        CHECK_EQ(peri_health_scope(ours[i]), PERI_SCOPE_REQUEST);
    CHECK_EQ(peri_health_scope(PERI_ECONNECT), PERI_SCOPE_PROVIDER);
    CHECK_EQ(peri_health_scope(PERI_EAUTH), PERI_SCOPE_KEY);
}
