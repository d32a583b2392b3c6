#include "config/fault_list.h"

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
    list->places[list->count] = *where;
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

static bool is_before(const struct peri_where *a, const struct peri_where *b) {
    if (a->name.n == 0 || b->name.n == 0) return a->name.n < b->name.n;
    int order = memcmp(a->name.p, b->name.p, a->name.n < b->name.n ? a->name.n : b->name.n);
    if (order == 0) order = (a->name.n > b->name.n) - (a->name.n < b->name.n);
    return order != 0 ? order < 0 : a->line < b->line;
}

/* Insertion: twenty at most, and equal ones keep their order. */
void peri_fault_list_sort(struct peri_fault_list *list) {
    for (size_t i = 1; i < list->count; i++) {
        struct peri_fault fault = list->faults[i];
        struct peri_where place = list->places[i];
        size_t k = i;
        for (; k > 0 && is_before(&place, &list->places[k - 1]); k--) {
            list->faults[k] = list->faults[k - 1];
            list->places[k] = list->places[k - 1];
        }
        list->faults[k] = fault;
        list->places[k] = place;
    }
}

enum peri_err peri_fault_list_err(const struct peri_fault_list *list) {
    return list->count > 0 ? PERI_ECONFIG : PERI_OK;
}
