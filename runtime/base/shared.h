/* What all workers remember together: names with a number, a truth or a short text, for a time.
 *
 * Policies keep no memory of their own; what they count and note lives here and survives a reload. Any thread
 * may call anything. The table is cut in parts with a lock each, held for one look-up, so that workers seldom
 * meet. Names may come from strangers: they are hashed with a secret of the table's.
 *
 * Who writes has a share: what it stored last counts to it, and a full share refuses its owner only. So no policy can
 * take the room that another one's counters need. Names are one space for all.
 */
#ifndef PERI_BASE_SHARED_H
#define PERI_BASE_SHARED_H

#include "base/clock.h"
#include "base/str.h"

#define PERI_SHARED_KEY_MAX  256  /* bytes of a name */
#define PERI_SHARED_TEXT_MAX 4096 /* bytes of a text */
#define PERI_SHARED_SHARES   64   /* of owners with a name, and of all others together (0) */

struct peri_shared;

enum peri_shared_kind {
    PERI_SHARED_NONE, /* no value */
    PERI_SHARED_BOOL,
    PERI_SHARED_INTEGER,
    PERI_SHARED_NUMBER,
    PERI_SHARED_TEXT
};

struct peri_shared_value {
    enum peri_shared_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct peri_str text;
    };
};

/* bytes_max: what keys, texts and their records of one share may take together (0: 16 MiB). The clock is borrowed. */
PERI_MUST_USE enum peri_err peri_shared_new(struct peri_shared **out, size_t bytes_max,
                                            const struct peri_clock *clock);
/* When no other thread uses it any more. Takes NULL. */
void peri_shared_free(struct peri_shared *shared);

/* The share of the owner of that name, the same for as long as the table lives; 0, which all others have together, once
 * there are as many names as shares. */
unsigned peri_shared_share(struct peri_shared *shared, struct peri_str owner);

/* Read a value; kind NONE when there is none or its time is over. A text is copied to `room`. */
void peri_shared_get(struct peri_shared *shared, struct peri_shared_value *out,
                     char room[PERI_SHARED_TEXT_MAX], struct peri_str key);
/* Store a value for ttl_ms milliseconds (0: for good); kind NONE deletes.
 *   share   whose it is from now on, from peri_shared_share
 *   gives   PERI_OK · PERI_ETOOBIG key or text · PERI_EFULL the share is, even without what has expired ·
 *           PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_shared_set(struct peri_shared *shared, unsigned share,
                                            struct peri_str key,
                                            const struct peri_shared_value *value, uint64_t ttl_ms);
/* Add to a number, which begins at 0: in one step, however many threads add. Only the call that creates it sets its
 * time, so that a counter ends a fixed time after its first use. Integers stop at their limits.
 *   value   in: an integer or a number to add; out: the sum
 *   gives   as peri_shared_set; PERI_EINVAL what is there is no number */
PERI_MUST_USE enum peri_err peri_shared_add(struct peri_shared *shared, unsigned share,
                                            struct peri_str key, struct peri_shared_value *value,
                                            uint64_t ttl_ms);
/* Store a value if the present one equals `expected` (same kind; NONE: absent).
 *   is_set  out: whether it did */
PERI_MUST_USE enum peri_err peri_shared_swap(struct peri_shared *shared, unsigned share,
                                             struct peri_str key,
                                             const struct peri_shared_value *expected,
                                             const struct peri_shared_value *value, uint64_t ttl_ms,
                                             bool *is_set);

/* Names held, and the bytes they take. Counts what has expired and was not yet found. */
size_t peri_shared_count(struct peri_shared *shared);
size_t peri_shared_bytes(struct peri_shared *shared);
size_t peri_shared_share_bytes(const struct peri_shared *shared, unsigned share);
/* Entries that writes into full shares have looked at so far, for tests. */
size_t peri_shared_looked_at(const struct peri_shared *shared);

#endif
