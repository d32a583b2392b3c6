/* Any bytes as a proof message, as a participants document and as a commit. Nothing made up may prove anything: the
 * pinned hash is one that no block has. */
#include "gonka/chain/gonka_proof.h"
#include "gonka/chain/gonka_trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_hasher *h;
    struct peri_ics23 proof;
    struct peri_gonka_set *set = NULL;
    struct peri_gonka_proof_report report;
    struct peri_fault fault = { PERI_OK, "" };
    struct peri_str bytes = { (const char *)data, n };
    struct peri_comet_validator v = { .power = 1 };
    struct peri_gonka_trust trust = { .chain_id = PERI_STR_INIT("gonka-testnet-3"),
                                      .has_block_hash = true,
                                      .validators = { &v, 1 } };
    if (peri_hasher_new(&h) != PERI_OK) return 0;
    for (int tree = PERI_ICS23_IAVL; tree <= PERI_ICS23_SIMPLE; tree++)
        if (peri_ics23_existence(&proof, h, (enum peri_ics23_tree)tree, bytes) == PERI_OK &&
            (proof.key.n == 0 || proof.value.n == 0 || proof.steps > PERI_ICS23_STEPS_MAX))
            peri_bug("a proof is about something");
    if (peri_gonka_prove(&set, &report, h, bytes, &trust, &fault) == PERI_OK || set != NULL)
        peri_bug("nothing made up is proven");
    struct peri_gonka_trusted *trusted = NULL;
    const struct peri_gonka_block block = { bytes, &bytes, 1 };
    if (peri_gonka_trusted_start(&trusted, h, &block, trust.chain_id, trust.block_hash, &fault) ==
            PERI_OK ||
        trusted != NULL)
        peri_bug("nothing made up is trusted");
    const uint8_t *cut = n == 0 ? NULL : memchr(data, 0, n);
    if (cut != NULL) {
        struct peri_str document = { (const char *)data, (size_t)(cut - data) };
        trust.has_block_hash = false;
        trust.commit = peri_str_from(bytes, document.n + 1);
        if (peri_gonka_prove(&set, &report, h, document, &trust, &fault) == PERI_OK || set != NULL)
            peri_bug("nothing made up is proven");
    }
    peri_hasher_free(h);
    return 0;
}
