/* Any bytes under any coding: what comes out keeps to the cap and to the ratio. */
#include <stdint.h>
#include <stdlib.h>

#include "net/unpack.h"

#define CAP 300000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const codings[] = { "gzip", "deflate", "zstd", "br" };
    if (size == 0) return 0;
    struct peri_buf out;
    peri_buf_init(&out, CAP);
    struct peri_str body = { (const char *)data + 1, size - 1 };
    enum peri_err err = peri_unpack(&out, peri_str_of(codings[data[0] % 4]), body);
    if (err == PERI_OK && out.n > CAP) abort();
    if (err == PERI_ENOTFOUND || out.n > CAP + 1) abort();
    peri_buf_done(&out);
    return 0;
}
