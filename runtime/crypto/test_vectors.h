/* For tests that read vector files: a file as a document, members as text and bytes. Everything lies in one
 * arena; a file that is not there is said to be skipped. */
#ifndef PERI_CRYPTO_TEST_VECTORS_H
#define PERI_CRYPTO_TEST_VECTORS_H

#include "base/json.h"
#include "base/test.h"
#include "crypto/encode.h"

struct vectors {
    struct peri_json *j;
    struct peri_arena a;
    char *text;
    uint32_t root;
};

/* false: the file is not there; nothing is open then. */
__attribute__((unused)) static bool vectors_open(struct vectors *v, const char *path) {
    size_t n;
    struct peri_fault fault = { PERI_OK, "" };
    v->text = test_read_file(path, &n);
    if (v->text == NULL) {
        printf("skipped: %s is not here\n", path);
        return false;
    }
    peri_arena_init(&v->a, 0);
    if (peri_json_parse(&v->j, (struct peri_str){ v->text, n }, NULL, &fault) != PERI_OK) {
        fprintf(stderr, "%s: %s\n", path, fault.text);
        abort();
    }
    v->root = peri_json_root(v->j);
    return true;
}

__attribute__((unused)) static void vectors_close(struct vectors *v) {
    peri_json_free(v->j);
    peri_arena_done(&v->a);
    free(v->text);
}

__attribute__((unused)) static uint32_t v_get(struct vectors *v, uint32_t object,
                                              const char *name) {
    return peri_json_get(v->j, object, peri_str_of(name));
}

__attribute__((unused)) static struct peri_str v_text(struct vectors *v, uint32_t object,
                                                      const char *name) {
    return peri_json_string(v->j, v_get(v, object, name), &v->a);
}

__attribute__((unused)) static struct peri_str v_unhex(struct vectors *v, struct peri_str hex) {
    if (peri_str_has_prefix(hex, PERI_STR("0x"))) hex = peri_str_from(hex, 2);
    unsigned char *bytes = peri_arena_alloc(&v->a, hex.n / 2 + 1);
    size_t n = 0;
    if (bytes == NULL || peri_hex_decode(bytes, hex.n / 2, &n, hex) != PERI_OK) abort();
    return (struct peri_str){ (char *)bytes, n };
}

__attribute__((unused)) static struct peri_str v_hex(struct vectors *v, uint32_t object,
                                                     const char *name) {
    return v_unhex(v, v_text(v, object, name));
}

__attribute__((unused)) static const unsigned char *u8(struct peri_str s) {
    return (const unsigned char *)s.p;
}

#endif
