/* JSON lines. A log belongs to one thread; whole lines are written at once, so several may share a file.
 *
 * Lines of level info and below are gathered and written by peri_log_flush (once a loop turn) or when the
 * buffer is full; warnings and errors leave at once. A value of more than 4 KiB is cut, members beyond 64 KiB of one
 * line are left out; a line itself is always whole.
 */
#ifndef PERI_BASE_LOG_H
#define PERI_BASE_LOG_H

#include "base/buf.h"
#include "base/clock.h"

struct peri_log {
    enum peri_log_level level;
    struct peri_log *whole; /* that its lines go through: itself, unless it is a part */
    char head[56];          /* what stands between a line's level and its message */
    int fd;                 /* from here on the whole's alone */
    const struct peri_clock *clock;
    struct peri_buf out;
    enum peri_log_level line_level; /* of the line under way */
    size_t line_at;                 /* where it begins in `out` */
    /* Takes each line at once, without its end, and nothing is written; NULL: none. */
    void (*on_line)(void *arg, enum peri_log_level level, struct peri_str line);
    void *arg;
    uint64_t stamp_s; /* the second that `stamp` spells */
    char stamp[24];   /* "2026-01-31T23:59:59" */
};

/* `clock` is borrowed for the life of the log; `fd` is not closed by it. */
void peri_log_init(struct peri_log *log, int fd, enum peri_log_level level,
                   const struct peri_clock *clock);
/* A part writes through `whole`, which stays where it is as long as the part is used, with a level of its own and
 * `"component":"NAME"` in its lines. It needs no end; a flush is the whole's.
 *   component   needs no escapes in JSON, at most 24 bytes */
void peri_log_part(struct peri_log *part, struct peri_log *whole, const char *component,
                   enum peri_log_level level);
/* Writes what is left. Stays in place: parts point to it. */
void peri_log_done(struct peri_log *log);
void peri_log_flush(struct peri_log *log);

static inline bool peri_log_is_on(const struct peri_log *log, enum peri_log_level level) {
    return level >= log->level;
}

/* One line: begin, any number of members, end. `begin` gives false when the level is off: then write no
 * members and do not end. */
PERI_MUST_USE bool peri_log_begin(struct peri_log *log, enum peri_log_level level,
                                  const char *message);
void peri_log_str(struct peri_log *log, const char *key, struct peri_str value);
void peri_log_int(struct peri_log *log, const char *key, int64_t value);
/* Milliseconds with three decimals, from microseconds. */
void peri_log_ms(struct peri_log *log, const char *key, uint64_t micros);
void peri_log_bool(struct peri_log *log, const char *key, bool value);
/* `json` is valid JSON already. */
void peri_log_json(struct peri_log *log, const char *key, struct peri_str json);
void peri_log_end(struct peri_log *log);

/* A line with printf text and no members. */
void peri_log_say(struct peri_log *log, enum peri_log_level level, const char *format, ...)
    PERI_PRINTF(3, 4);

/* PERI_LOG_OFF + 1 when the name is none of ours. */
int peri_log_level_by_name(struct peri_str name);

#endif
