#include "config/logs.h"

static const char *const names[] = {
#define NAME(name, text, about) text,
    PERI_COMPONENT_MAP(NAME)
#undef NAME
};

void peri_logs_init(struct peri_logs *logs, int fd, const struct peri_config *config,
                    const struct peri_clock *clock) {
    int level = peri_log_level_by_name(config->log_level);
    peri_log_init(&logs->whole, fd, (enum peri_log_level)level, clock);
    for (size_t i = 0; i < PERI_COMPONENT_COUNT; i++) {
        struct peri_str own = config->log_levels[i];
        int its = own.n > 0 ? peri_log_level_by_name(own) : level;
        peri_log_part(&logs->of[i], &logs->whole, names[i], (enum peri_log_level)its);
    }
}

void peri_logs_done(struct peri_logs *logs) { peri_log_done(&logs->whole); }

bool peri_logs_are_as(const struct peri_config *a, const struct peri_config *b) {
    for (size_t i = 0; i < PERI_COMPONENT_COUNT; i++)
        if (!peri_str_eq(a->log_levels[i], b->log_levels[i])) return false;
    return peri_str_eq(a->log_level, b->log_level);
}
