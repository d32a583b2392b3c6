#include "base/mem.h"

#include <string.h>

void peri_wipe(void *p, size_t n) {
    if (n > 0) explicit_bzero(p, n);
}
