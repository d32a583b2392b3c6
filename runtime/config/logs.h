/* The log of one thread, a part for each component: they share what is written, each has its level. */
#ifndef PERI_CONFIG_LOGS_H
#define PERI_CONFIG_LOGS_H

#include "base/log.h"
#include "config/config.h"

struct peri_logs {
    struct peri_log whole; /* flush this one; lines go to a part */
    struct peri_log of[PERI_COMPONENT_COUNT];
};

/* In place, and stays there. `fd` and `clock` as in peri_log_init. */
void peri_logs_init(struct peri_logs *logs, int fd, const struct peri_config *config,
                    const struct peri_clock *clock);
void peri_logs_done(struct peri_logs *logs);

/* True when both configurations say the same of levels. */
bool peri_logs_are_as(const struct peri_config *a, const struct peri_config *b);

#endif
