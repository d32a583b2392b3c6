/* Any bytes as the record of participants. */
#include "gonka/chain/gonka_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_str bytes = { (const char *)data, n };
    struct peri_gonka_set *set = NULL;
    struct peri_fault fault = { PERI_OK, "" };
    if (peri_gonka_set_decode(&set, bytes, &fault) == PERI_OK) {
        for (size_t i = 0; i < set->count; i++)
            if (set->participants[i].told_weight < 1) peri_bug("a told weight is positive");
        if (peri_gonka_set_apply(set, &(struct peri_gonka_rules){ 0 }) != PERI_OK)
            peri_bug("memory suffices");
    }
    peri_gonka_set_free(set);
    return 0;
}
