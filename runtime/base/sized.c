#include "base/sized.h"

#include <string.h>

enum peri_err peri_sized_read(void *out, size_t size, const void *given) {
    size_t n;
    memcpy(&n, given, sizeof n);
    if (n < sizeof n) return PERI_EINVAL;
    for (size_t i = size; i < n; i++)
        if (((const char *)given)[i] != 0) return PERI_EINVAL;
    memset(out, 0, size);
    memcpy(out, given, n < size ? n : size);
    memcpy(out, &size, sizeof size);
    return PERI_OK;
}

enum peri_err peri_sized_write(void *given, const void *from, size_t size) {
    size_t n;
    memcpy(&n, given, sizeof n);
    if (n < sizeof n || n > size) return PERI_EINVAL;
    memcpy((char *)given + sizeof n, (const char *)from + sizeof n, n - sizeof n);
    return PERI_OK;
}
