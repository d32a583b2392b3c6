#include "crypto/secret.h"

#include <secp256k1.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/encode.h"

struct peri_key {
    unsigned char bytes[32];
};

struct peri_keyring {
    char *map; /* guard page, room, guard page */
    size_t map_bytes, page;
    struct peri_key *keys;
    size_t count;
    bool is_locked;
};

enum peri_err peri_keyring_new(struct peri_keyring **out) {
    struct peri_keyring *ring = peri_calloc(1, sizeof *ring);
    if (ring == NULL) return PERI_ENOMEM;
    ring->page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room =
        (PERI_KEYRING_KEYS * sizeof *ring->keys + ring->page - 1) / ring->page * ring->page;
    ring->map_bytes = room + 2 * ring->page;
    ring->map = mmap(NULL, ring->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring->map == MAP_FAILED) {
        peri_free(ring);
        return PERI_ENOMEM;
    }
    ring->keys = (struct peri_key *)(void *)(ring->map + ring->page);
    if (mprotect(ring->keys, room, PROT_READ | PROT_WRITE) != 0) {
        peri_keyring_free(ring);
        return PERI_ENOMEM;
    }
    ring->is_locked = mlock(ring->keys, room) == 0;
    /* Both are advice a kernel may not know; the wipe at the end does not depend on them. */
    (void)madvise(ring->keys, room, MADV_DONTDUMP);
    (void)madvise(ring->keys, room, MADV_WIPEONFORK);
    *out = ring;
    return PERI_OK;
}

void peri_keyring_free(struct peri_keyring *ring) {
    if (ring == NULL) return;
    peri_wipe(ring->keys, ring->count * sizeof *ring->keys);
    munmap(ring->map, ring->map_bytes);
    peri_free(ring);
}

bool peri_keyring_is_locked(const struct peri_keyring *ring) { return ring->is_locked; }

enum peri_err peri_keyring_add_hex(const struct peri_key **key, struct peri_keyring *ring,
                                   struct peri_str hex, struct peri_fault *fault) {
    if (ring->count == PERI_KEYRING_KEYS)
        return peri_fault_set(fault, PERI_EFULL, "the keyring holds no more than %d keys",
                              PERI_KEYRING_KEYS);
    struct peri_key *k = &ring->keys[ring->count];
    size_t n = 0;
    hex = peri_str_trim(hex);
    if (peri_str_has_prefix(hex, PERI_STR("0x")) || peri_str_has_prefix(hex, PERI_STR("0X")))
        hex = peri_str_from(hex, 2);
    enum peri_err err = PERI_OK;
    if (hex.n != 64 || peri_hex_decode(k->bytes, sizeof k->bytes, &n, hex) != PERI_OK)
        err = peri_fault_set(fault, PERI_EINVAL,
                             "the private key must be 64 hexadecimal digits, with or without 0x");
    else if (!secp256k1_ec_seckey_verify(secp256k1_context_static, k->bytes))
        err = peri_fault_set(fault, PERI_EINVAL,
                             "the private key must be a number from 1 to the curve's order less 1");
    if (err != PERI_OK) {
        peri_wipe(k, sizeof *k);
        return err;
    }
    ring->count++;
    *key = k;
    return PERI_OK;
}

const unsigned char *peri_key_bytes(const struct peri_key *key) { return key->bytes; }
