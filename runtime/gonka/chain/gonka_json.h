/* Reading what Gonka nodes write as JSON, in all the spellings their versions have used: 64-bit integers as numbers or
 * as decimal strings, hashes as hexadecimal or as base64, times as RFC 3339.
 *
 * Each takes a node that may be PERI_JSON_NONE and says so by its answer.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_JSON_H
#define PERI_GONKA_CHAIN_GONKA_JSON_H

#include "base/json.h"
#include "gonka/chain/comet.h"

/* An integer, as number or decimal string. false: neither, or beyond the type. */
PERI_MUST_USE bool peri_gonka_int(int64_t *out, const struct peri_json *j, uint32_t node);
PERI_MUST_USE bool peri_gonka_uint(uint64_t *out, const struct peri_json *j, uint32_t node);

/* A member that is a string, copied into the arena; p is NULL when there is none or no memory. */
struct peri_str peri_gonka_text(struct peri_json *j, uint32_t object, const char *name,
                                struct peri_arena *a);

/* A string's bytes, copied into the arena. `n` 0: base64 of any length, else exactly n bytes, as 2n
 * hexadecimal digits or as base64; p is NULL when they are not. An empty string is empty bytes. */
struct peri_str peri_gonka_bytes(const struct peri_json *j, uint32_t node, size_t n,
                                 struct peri_arena *a);

/* RFC 3339 in UTC ("2025-10-18T08:56:30.70791873Z"), years 1 to 9999. */
PERI_MUST_USE bool peri_gonka_time(struct peri_comet_time *out, const struct peri_json *j,
                                   uint32_t node);

/* A member's value by literal name. */
#define PERI_GONKA_GET(j, object, literal) peri_json_get(j, object, PERI_STR(literal))

#endif
