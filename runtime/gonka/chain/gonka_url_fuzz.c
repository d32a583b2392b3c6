/* Any text as a URL: what is accepted is in its one spelling, and stays what it is when judged again. */
#include "gonka/chain/gonka_url.h"

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_arena a;
    struct peri_str url, again;
    peri_arena_init(&a, 0);
    enum peri_gonka_url_verdict verdict =
        peri_gonka_url(&url, &a, (struct peri_str){ (const char *)data, n });
    if (verdict != PERI_GONKA_URL_BAD) {
        if (!peri_str_has_prefix(url, PERI_STR("http://")) &&
            !peri_str_has_prefix(url, PERI_STR("https://")))
            peri_bug("an accepted URL is of http");
        for (size_t i = 0; i < url.n; i++)
            if (url.p[i] <= ' ' || url.p[i] > '~' || memchr("@?#%\\\"", url.p[i], 6) != NULL)
                peri_bug("an accepted URL has plain characters only");
        if (peri_gonka_url(&again, &a, url) != verdict) peri_bug("a spelling keeps its verdict");
        /* A path of several /v1 loses one at a time. */
        if (!peri_str_has_suffix(url, PERI_STR("/v1")) && !peri_str_eq(url, again))
            peri_bug("there is one spelling");
    }
    peri_arena_done(&a);
    return 0;
}
