#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_AT  16384  /* bytes gathered before a write that nobody asked for */
#define VALUE_MAX 4096   /* bytes of one value */
#define LINES_MAX 262144 /* a sink that stands still must not eat the machine */

static const char *const level_names[] = { "trace", "debug", "info", "warn", "error", "off" };

const char *peri_log_level_name(enum peri_log_level level) { return level_names[level]; }

int peri_log_level_by_name(struct peri_str name) {
    for (int i = 0; i <= PERI_LOG_OFF; i++)
        if (peri_str_eq(name, peri_str_of(level_names[i]))) return i;
    return PERI_LOG_OFF + 1;
}

void peri_log_init(struct peri_log *log, int fd, enum peri_log_level level,
                   const struct peri_clock *clock) {
    *log = (struct peri_log){ .fd = fd, .level = level, .clock = clock };
    peri_buf_init(&log->out, LINES_MAX);
}

void peri_log_done(struct peri_log *log) {
    peri_log_flush(log);
    peri_buf_done(&log->out);
}

void peri_log_flush(struct peri_log *log) {
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

bool peri_log_begin(struct peri_log *log, enum peri_log_level level, const char *message) {
    if (!peri_log_is_on(log, level)) return false;
    uint64_t ns = peri_clock_wall_ns(log->clock);
    time_t seconds = (time_t)(ns / 1000000000u);
    struct tm t;
    gmtime_r(&seconds, &t);
    log->is_urgent = level >= PERI_LOG_WARN;
    peri_buf_addf(&log->out,
                  "{\"ts\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03uZ\",\"level\":\"%s\",\"msg\":",
                  t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
                  (unsigned)(ns / 1000000u % 1000u), level_names[level]);
    struct peri_str text = peri_str_of(message);
    if (text.n > VALUE_MAX) text.n = VALUE_MAX;
    peri_buf_add_json(&log->out, text);
    return true;
}

static void add_key(struct peri_log *log, const char *key) {
    peri_buf_addf(&log->out, ",\"%s\":", key);
}

void peri_log_str(struct peri_log *log, const char *key, struct peri_str value) {
    add_key(log, key);
    if (value.n > VALUE_MAX) value.n = VALUE_MAX;
    peri_buf_add_json(&log->out, value);
}

void peri_log_int(struct peri_log *log, const char *key, int64_t value) {
    peri_buf_addf(&log->out, ",\"%s\":%lld", key, (long long)value);
}

void peri_log_ms(struct peri_log *log, const char *key, uint64_t micros) {
    peri_buf_addf(&log->out, ",\"%s\":%llu.%03u", key, (unsigned long long)(micros / 1000),
                  (unsigned)(micros % 1000));
}

void peri_log_bool(struct peri_log *log, const char *key, bool value) {
    add_key(log, key);
    peri_buf_add(&log->out, value ? PERI_STR("true") : PERI_STR("false"));
}

void peri_log_json(struct peri_log *log, const char *key, struct peri_str json) {
    add_key(log, key);
    peri_buf_add(&log->out, json);
}

void peri_log_end(struct peri_log *log) {
    peri_buf_add(&log->out, PERI_STR("}\n"));
    if (log->is_urgent || log->out.n >= FLUSH_AT) peri_log_flush(log);
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
