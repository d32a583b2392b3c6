#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_AT  16384  /* bytes gathered before a write that nobody asked for */
#define VALUE_MAX 4096   /* bytes of one value */
#define LINE_MAX  65536  /* bytes of one line after which no more members are taken */
#define LINES_MAX 262144 /* a sink that stands still must not eat the machine */

static const char *const level_names[] = { "trace", "debug", "info", "warn", "error", "off" };

int peri_log_level_by_name(struct peri_str name) {
    for (int i = 0; i <= PERI_LOG_OFF; i++)
        if (peri_str_eq(name, peri_str_of(level_names[i]))) return i;
    return PERI_LOG_OFF + 1;
}

void peri_log_init(struct peri_log *log, int fd, enum peri_log_level level,
                   const struct peri_clock *clock) {
    *log = (struct peri_log){ .level = level, .whole = log, .fd = fd, .clock = clock };
    snprintf(log->head, sizeof log->head, "\",\"msg\":");
    peri_buf_init(&log->out, LINES_MAX);
}

void peri_log_part(struct peri_log *part, struct peri_log *whole, const char *component,
                   enum peri_log_level level) {
    *part = (struct peri_log){ .level = level, .whole = whole };
    snprintf(part->head, sizeof part->head, "\",\"component\":\"%s\",\"msg\":", component);
}

void peri_log_done(struct peri_log *log) {
    peri_log_flush(log);
    peri_buf_done(&log->out);
}

void peri_log_flush(struct peri_log *part) {
    struct peri_log *log = part->whole;
    size_t at = 0;
    while (at < log->out.n) {
        ssize_t n = write(log->fd, log->out.p + at, log->out.n - at);
        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else
            break; /* nowhere to say that logging failed */
    }
    peri_buf_clear(&log->out);
}

/* Nothing here goes through printf: a line a request, it was a fifth of all instructions. */
static void add_text(struct peri_log *log, const char *text) {
    peri_buf_add(&log->out, peri_str_of(text));
}

static void add_thousandths(struct peri_log *log, unsigned value) {
    char digits[4] = { '.', (char)('0' + value / 100), (char)('0' + value / 10 % 10),
                       (char)('0' + value % 10) };
    peri_buf_add(&log->out, (struct peri_str){ digits, sizeof digits });
}

static void add_time(struct peri_log *log, uint64_t ns) {
    time_t seconds = (time_t)(ns / 1000000000u);
    if (log->stamp[0] == '\0' || log->stamp_s != (uint64_t)seconds) {
        struct tm t;
        gmtime_r(&seconds, &t);
        strftime(log->stamp, sizeof log->stamp, "%Y-%m-%dT%H:%M:%S", &t);
        log->stamp_s = (uint64_t)seconds;
    }
    add_text(log, log->stamp);
    add_thousandths(log, (unsigned)(ns / 1000000u % 1000u));
}

bool peri_log_begin(struct peri_log *part, enum peri_log_level level, const char *message) {
    if (!peri_log_is_on(part, level)) return false;
    struct peri_log *log = part->whole;
    log->line_level = level;
    log->line_at = log->out.n;
    add_text(log, "{\"ts\":\"");
    add_time(log, peri_clock_wall_ns(log->clock));
    add_text(log, "Z\",\"level\":\"");
    add_text(log, level_names[level]);
    add_text(log, part->head);
    struct peri_str text = peri_str_of(message);
    if (text.n > VALUE_MAX) text.n = VALUE_MAX;
    peri_buf_add_json(&log->out, text);
    return true;
}

/* gives false when the line is long enough without it. A value of 4 KiB grows to 24 by its escapes, so with those that
 * are waiting a line always fits into `out`. */
static bool add_key(struct peri_log *log, const char *key) {
    if (log->out.n - log->line_at > LINE_MAX) return false;
    add_text(log, ",\"");
    add_text(log, key);
    add_text(log, "\":");
    return true;
}

void peri_log_str(struct peri_log *part, const char *key, struct peri_str value) {
    struct peri_log *log = part->whole;
    if (!add_key(log, key)) return;
    if (value.n > VALUE_MAX) value.n = VALUE_MAX;
    peri_buf_add_json(&log->out, value);
}

void peri_log_int(struct peri_log *part, const char *key, int64_t value) {
    struct peri_log *log = part->whole;
    if (!add_key(log, key)) return;
    if (value < 0) peri_buf_add_char(&log->out, '-');
    peri_buf_add_u64(&log->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void peri_log_ms(struct peri_log *part, const char *key, uint64_t micros) {
    struct peri_log *log = part->whole;
    if (!add_key(log, key)) return;
    peri_buf_add_u64(&log->out, micros / 1000);
    add_thousandths(log, (unsigned)(micros % 1000));
}

void peri_log_bool(struct peri_log *part, const char *key, bool value) {
    struct peri_log *log = part->whole;
    if (!add_key(log, key)) return;
    add_text(log, value ? "true" : "false");
}

void peri_log_json(struct peri_log *part, const char *key, struct peri_str json) {
    struct peri_log *log = part->whole;
    if (!add_key(log, key)) return;
    peri_buf_add(&log->out, json);
}

void peri_log_end(struct peri_log *part) {
    struct peri_log *log = part->whole;
    if (log->on_line != NULL) {
        if (peri_buf_add(&log->out, PERI_STR("}")) == PERI_OK)
            log->on_line(log->arg, log->line_level, peri_buf_str(&log->out));
        peri_buf_clear(&log->out);
        return;
    }
    peri_buf_add(&log->out, PERI_STR("}\n"));
    if (log->line_level >= PERI_LOG_WARN || log->out.n >= FLUSH_AT) peri_log_flush(log);
}

void peri_log_say(struct peri_log *log, enum peri_log_level level, const char *format, ...) {
    if (!peri_log_is_on(log, level)) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (peri_log_begin(log, level, text)) peri_log_end(log);
}
