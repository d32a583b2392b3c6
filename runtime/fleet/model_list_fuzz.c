/* Any bytes as a provider's list of models: what is read is bounded, each name once and fit for a header, and says the
 * same when it is read again. */
#include "fleet/model_list.h"

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_model_list *l, *again;
    struct peri_fault fault = { .text = "" };
    struct peri_str text = { (const char *)data, n };
    if (peri_model_list_read(&l, text, &fault) != PERI_OK) return 0;
    if (l->count == 0 || l->count > PERI_MODEL_LIST_MAX) peri_bug("a list holds models");
    for (size_t i = 0; i < l->count; i++) {
        const struct peri_config_model *m = &l->models[i];
        if (m->name.n == 0 || m->name.n > PERI_MODEL_NAME_MAX) peri_bug("a name has a length");
        for (size_t k = 0; k < m->name.n; k++)
            if ((unsigned char)m->name.p[k] < ' ') peri_bug("a name is one line");
        if (peri_model_list_find(l, m->name) != m) peri_bug("a name stands once");
        if (m->context_tokens > 0 && m->context_tokens <= m->max_output_tokens)
            peri_bug("a context is larger than the output");
    }
    if (peri_model_list_read(&again, text, &fault) != PERI_OK || !peri_model_list_equal(l, again))
        peri_bug("what is read again says the same");
    peri_model_list_unref(l);
    peri_model_list_unref(again);
    return 0;
}
