#include "gonka/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "crypto/encode.h"

#define PATH_BYTES 4096
#define KEY_BYTES  32
#define TEXT_BYTES (2 * KEY_BYTES + 1)
#define DRAWS_MAX                                                                                  \
    8 /* a draw is no key once in 2^128: eight in a row mean that the system's numbers are none */

/* The same check as for every other key: from 1 to below the order of the curve. */
static enum peri_err judge(struct peri_str hex) {
    struct peri_keyring *ring;
    const struct peri_key *key;
    enum peri_err err = peri_keyring_new(&ring);
    if (err != PERI_OK) return err;
    err = peri_keyring_add_hex(&key, ring, hex, NULL);
    peri_keyring_free(ring);
    return err;
}

static enum peri_err draw(char text[TEXT_BYTES]) {
    unsigned char bytes[KEY_BYTES];
    enum peri_err err = PERI_EINVAL;
    for (int i = 0; i < DRAWS_MAX && err == PERI_EINVAL; i++) {
        if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
            err = PERI_ECRYPTO;
            break;
        }
        peri_hex_encode(text, (struct peri_str){ (const char *)bytes, sizeof bytes });
        err = judge((struct peri_str){ text, TEXT_BYTES - 1 });
    }
    peri_wipe(bytes, sizeof bytes);
    text[TEXT_BYTES - 1] = '\n';
    return err;
}

enum peri_err peri_account_create(struct peri_str path, struct peri_fault *fault) {
    char name[PATH_BYTES], text[TEXT_BYTES];
    if (path.n == 0 || path.n >= sizeof name)
        return peri_fault_set(fault, PERI_EINVAL, "a path of 1 to %d bytes is needed",
                              PATH_BYTES - 1);
    snprintf(name, sizeof name, "%.*s", PERI_STR_ARGS(path));
    enum peri_err err = draw(text);
    if (err != PERI_OK) {
        peri_wipe(text, sizeof text);
        return peri_fault_set(fault, err, "no key: %s", peri_err_text(err));
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        peri_wipe(text, sizeof text);
        return peri_fault_set(fault, errno == EEXIST ? PERI_EINVAL : PERI_EIO, "%s: %s", name,
                              errno == EEXIST ? "is there already, and is left as it is"
                                              : strerror(errno));
    }
    bool is_good = write(fd, text, sizeof text) == (ssize_t)sizeof text && fsync(fd) == 0;
    int reason = errno;
    peri_wipe(text, sizeof text);
    close(fd);
    if (is_good) return PERI_OK;
    unlink(name);
    return peri_fault_set(fault, PERI_EIO, "%s: %s", name, strerror(reason));
}

static enum peri_err take_key(const struct peri_key **key, struct peri_account *a,
                              struct peri_str source, const struct peri_env *env,
                              struct peri_fault *fault) {
    struct peri_secret secret;
    struct peri_secret_zone *zone = peri_secret_zone_new();
    struct peri_secret_box *box = peri_secret_box_new(env);
    enum peri_err err = zone == NULL || box == NULL ? PERI_ENOMEM : PERI_OK;
    if (err == PERI_OK) err = peri_secret_read(&secret, zone, box, source, PERI_STR(""), fault);
    if (err == PERI_OK)
        err = peri_keyring_add_hex(key, a->ring, (struct peri_str){ secret.p, secret.n }, fault);
    peri_secret_box_free(box);
    peri_secret_zone_free(zone);
    return err;
}

enum peri_err peri_account_open(struct peri_account *a, struct peri_str source,
                                const struct peri_env *env, struct peri_fault *fault) {
    const struct peri_key *key = NULL;
    *a = (struct peri_account){ .ring = NULL };
    if (fault != NULL) fault->text[0] = '\0';
    enum peri_err err = peri_keyring_new(&a->ring);
    if (err == PERI_OK) err = peri_hasher_new(&a->hasher);
    if (err == PERI_OK) err = peri_signer_new(&a->signer, true);
    if (err == PERI_OK) err = take_key(&key, a, source, env, fault);
    if (err == PERI_OK)
        err = peri_gonka_wallet_init(&a->wallet, a->hasher, a->signer, key, PERI_STR(""), fault);
    if (err == PERI_OK) return PERI_OK;
    peri_account_done(a);
    if (fault != NULL && fault->text[0] == '\0')
        return peri_fault_set(fault, err, "%s", peri_err_text(err));
    return err;
}

void peri_account_done(struct peri_account *a) {
    peri_signer_free(a->signer);
    peri_hasher_free(a->hasher);
    peri_keyring_free(a->ring);
    *a = (struct peri_account){ .ring = NULL };
}
