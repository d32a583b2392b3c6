/* JSON without a document: validate and extract in one pass, read single values, write.
 *
 * "Raw" is the text of one valid value with nothing around it: a string has its quotes.
 */
#ifndef PERI_BASE_JSON_TEXT_H
#define PERI_BASE_JSON_TEXT_H

#include "base/json.h"

/* A way from the root to a value: member names, and elements from 0.
 *   static const struct peri_json_path content = { 4, { PERI_STR_INIT("choices"), PERI_JSON_ELEMENT(0),
 *                                                       PERI_STR_INIT("delta"), PERI_STR_INIT("content") } }; */
#define PERI_JSON_STEPS 6
#define PERI_JSON_ELEMENT(index)                                                                   \
    { NULL, index }
struct peri_json_path {
    unsigned count;
    struct peri_str steps[PERI_JSON_STEPS];
};

/* Check a complete text and pick values out of it on the way: for events of a stream. Allocates nothing. The
 * rules are those of peri_json_parse with its default depth.
 *   found   [count]: raw values, views of `text`; p is NULL when absent. Of members that stand twice the last.
 *   count   at most 32
 *   gives   PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG nested too deep; then nothing is found */
PERI_MUST_USE enum peri_err peri_json_scan(struct peri_str found[], struct peri_str text,
                                           const struct peri_json_path paths[], size_t count,
                                           struct peri_fault *fault);

/* A missing value (p NULL) is of the kind null. */
enum peri_json_kind peri_json_raw_kind(struct peri_str raw);
/* What stands between the quotes when that is the text itself; p is NULL for other kinds and when escapes
 * have to be decoded. */
struct peri_str peri_json_raw_plain(struct peri_str raw);
/* As peri_json_string_is, peri_json_int, peri_json_double. */
bool peri_json_raw_string_is(struct peri_str raw, struct peri_str text);
PERI_MUST_USE enum peri_err peri_json_raw_int(int64_t *out, struct peri_str raw);
PERI_MUST_USE enum peri_err peri_json_raw_double(double *out, struct peri_str raw);

/* Decode what stands between a valid string's quotes. `out` has room for inner.n bytes.
 *   gives   the bytes written */
size_t peri_json_unescape(char *out, struct peri_str inner);

/* An integer's text, written to the end of `room`. */
#define PERI_JSON_INT_MAX 20
struct peri_str peri_json_int_text(char room[PERI_JSON_INT_MAX], int64_t value);

/* Writing. A comma is put in front where the bytes before end a value, so members and elements are written
 * one after the other with no state kept; errors stick to the buffer.
 *   peri_json_put_open(b, '{'); peri_json_put_name(b, "a"); peri_json_put_int(b, 1); peri_json_put_close(b, '}'); */
void peri_json_put_open(struct peri_buf *b, char bracket);
void peri_json_put_close(struct peri_buf *b, char bracket);
void peri_json_put_name(struct peri_buf *b, const char *name);
void peri_json_put_name_str(struct peri_buf *b, struct peri_str name);
/* Bytes that are not UTF-8 become U+FFFD. */
void peri_json_put_string(struct peri_buf *b, struct peri_str text);
void peri_json_put_int(struct peri_buf *b, int64_t value);
/* 15 to 17 digits, as few as read back as the same double; whole numbers below 2^53 without a fraction;
 * null for what JSON can not say (NaN, infinities). */
void peri_json_put_double(struct peri_buf *b, double value);
void peri_json_put_bool(struct peri_buf *b, bool value);
void peri_json_put_null(struct peri_buf *b);
/* Valid JSON with no white space at its end. */
void peri_json_put_raw(struct peri_buf *b, struct peri_str json);
/* Whole members. An empty text is null with put_text_member, and "" with put_string_member. */
void peri_json_put_string_member(struct peri_buf *b, const char *name, struct peri_str text);
void peri_json_put_text_member(struct peri_buf *b, const char *name, struct peri_str text);
void peri_json_put_count_member(struct peri_buf *b, const char *name, uint64_t n);

#endif
