#include "core/fault_list.h"

#include <stdarg.h>
#include <stdio.h>

const char *peri_where_text(char out[PERI_WHERE_MAX], const struct peri_where *where) {
    if (where->origin == PERI_ORIGIN_DEFAULT)
        snprintf(out, PERI_WHERE_MAX, "default");
    else if (where->line > 0)
        snprintf(out, PERI_WHERE_MAX, "%.*s:%u", PERI_STR_ARGS(where->name), where->line);
    else
        snprintf(out, PERI_WHERE_MAX, "%.*s", PERI_STR_ARGS(where->name));
    return out;
}

static void put(struct peri_fault *f, enum peri_err err, const struct peri_where *where,
                const char *format, va_list args) {
    char at[PERI_WHERE_MAX], text[sizeof f->text];
    vsnprintf(text, sizeof text, format, args);
    peri_fault_set(f, err, "%s: %s", peri_where_text(at, where), text);
}

void peri_fault_list_add(struct peri_fault_list *list, const struct peri_where *where,
                         const char *format, ...) {
    if (list->count == PERI_FAULTS_MAX) {
        list->beyond++;
        return;
    }
    va_list args;
    va_start(args, format);
    put(&list->faults[list->count++], PERI_ECONFIG, where, format, args);
    va_end(args);
}

void peri_fault_list_warn(struct peri_fault_list *list, const struct peri_where *where,
                          const char *format, ...) {
    if (list->warning_count == PERI_FAULTS_MAX) return;
    va_list args;
    va_start(args, format);
    put(&list->warnings[list->warning_count++], PERI_OK, where, format, args);
    va_end(args);
}

enum peri_err peri_fault_list_err(const struct peri_fault_list *list) {
    return list->count > 0 ? PERI_ECONFIG : PERI_OK;
}
