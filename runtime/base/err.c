#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
#define NAME(name, text) #name,
    PERI_ERR_MAP(NAME)
#undef NAME
};

static const char *const texts[] = {
#define TEXT(name, text) text,
    PERI_ERR_MAP(TEXT)
#undef TEXT
};

const char *peri_err_name(enum peri_err err) {
    return (unsigned)err < PERI_ERR_COUNT ? names[err] : "EUNKNOWN";
}

const char *peri_err_text(enum peri_err err) {
    return (unsigned)err < PERI_ERR_COUNT ? texts[err] : "unknown error";
}

enum peri_err peri_fault_set(struct peri_fault *fault, enum peri_err err, const char *format, ...) {
    if (fault == NULL) return err;
    fault->err = err;
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return err;
}

void peri_bug(const char *believed) {
    fprintf(stderr, "perilune: broken invariant: %s\n", believed);
    abort();
}
