/* Everything that is wrong with one configuration, gathered so that a person can mend it in one go. */
#ifndef PERI_CONFIG_FAULT_LIST_H
#define PERI_CONFIG_FAULT_LIST_H

#include "base/err.h"
#include "base/str.h"

#define PERI_FAULTS_MAX 20

enum peri_origin { PERI_ORIGIN_DEFAULT, PERI_ORIGIN_FILE, PERI_ORIGIN_ENV, PERI_ORIGIN_FLAG };

/* Where a value was written. */
struct peri_where {
    enum peri_origin origin;
    struct peri_str
        name;      /* file, variable or flag; borrowed for the life of the tree it belongs to */
    uint32_t line; /* in a file, from 1; 0: not known */
};

struct peri_fault_list {
    struct peri_fault faults[PERI_FAULTS_MAX]; /* `file:line: what, what was expected` */
    struct peri_where
        places[PERI_FAULTS_MAX]; /* of the faults, for sorting; dead with their tree */
    size_t count;
    size_t beyond; /* faults there was no room for */
    struct peri_fault warnings[PERI_FAULTS_MAX];
    size_t warning_count;
};

#define PERI_WHERE_MAX 256
/* "perilune.lua:12", "PERILUNE_WORKERS", "--workers", "default"; cut at PERI_WHERE_MAX. Gives `out`. */
const char *peri_where_text(char out[PERI_WHERE_MAX], const struct peri_where *where);

/* Takes its place behind the others: "WHERE: TEXT". */
void peri_fault_list_add(struct peri_fault_list *list, const struct peri_where *where,
                         const char *format, ...) PERI_PRINTF(3, 4);
void peri_fault_list_warn(struct peri_fault_list *list, const struct peri_where *where,
                          const char *format, ...) PERI_PRINTF(3, 4);
/* By file and line, for people; while the tree that the faults are about is alive. */
void peri_fault_list_sort(struct peri_fault_list *list);
/* Gives PERI_OK when nothing is wrong (warnings do not count), else PERI_ECONFIG. */
enum peri_err peri_fault_list_err(const struct peri_fault_list *list);

#endif
