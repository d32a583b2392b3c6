/* Any bytes as each of the documents a Gonka node may send: what is read must be judged without harm, and what is
 * usable must be what the rules allow. */
#include "gonka/chain/gonka_discovery.h"
#include "gonka/chain/gonka_epoch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct peri_gonka_set *set) {
    size_t usable = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct peri_gonka_participant *p = &set->participants[i];
        if (p->told_weight < 1) peri_bug("a told weight is positive");
        if ((p->verdict == PERI_GONKA_USABLE) != (p->weight > 0))
            peri_bug("who is usable has a weight, and nobody else");
        if (p->verdict != PERI_GONKA_USABLE) continue;
        usable++;
        if (p->address.n < 44 || !peri_str_has_prefix(p->url, PERI_STR("http")) ||
            peri_str_find_char(p->url, '@') >= 0)
            peri_bug("who is usable has an account and a URL without user");
    }
    if (usable != set->usable_count) peri_bug("usable ones are counted");
}

static void judge(struct peri_gonka_set *set, size_t n) {
    const struct peri_gonka_rules rules = { .damping = (enum peri_gonka_damping)(n % 4) };
    struct peri_gonka_diff diff;
    struct peri_arena a;
    peri_arena_init(&a, 0);
    if (peri_gonka_set_apply(set, &rules) == PERI_OK) {
        check(set);
        if (peri_gonka_set_diff(&diff, &a, set, set) != PERI_OK ||
            diff.counts[PERI_GONKA_KEPT] != set->usable_count)
            peri_bug("a set differs in nothing from itself");
    }
    peri_arena_done(&a);
    peri_gonka_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_str text = { (const char *)data, n };
    struct peri_fault fault = { PERI_OK, "" };
    struct peri_gonka_set *set = NULL;
    struct peri_gonka_params params;
    struct peri_gonka_epoch epoch;
    const struct peri_gonka_delegate *delegates;
    struct peri_arena a;
    struct peri_str node;
    size_t count;
    bool applies;
    peri_arena_init(&a, 0);
    if (peri_gonka_set_read(&set, text, &fault) == PERI_OK) {
        if (peri_gonka_epoch_read(&epoch, text, NULL) == PERI_OK &&
            peri_gonka_preserved_apply(&applies, set, &epoch, text, NULL) != PERI_OK)
            peri_bug("an object may be asked for a snapshot");
        judge(set, n);
    }
    if (peri_gonka_epoch_read(&epoch, text, NULL) == PERI_OK &&
        (epoch.height < 1 || peri_gonka_window(&epoch) < 0))
        peri_bug("heights are counted from the first block");
    if (peri_gonka_set_of_endpoints(&set, &text, 1, &fault) == PERI_OK) judge(set, n);
    (void)!peri_gonka_params_read(&params, &a, text, &fault);
    if (peri_gonka_delegates_read(&delegates, &count, &node, &a, text, &fault) == PERI_OK &&
        peri_gonka_set_read(&set, text, &fault) == PERI_OK) {
        (void)peri_gonka_delegate_apply(set, node, delegates, count, false);
        judge(set, n);
    }
    peri_arena_done(&a);
    return 0;
}
