/* Parts of chained buckets. What has expired goes when it is met, when a write passes its bucket (each write
 * looks at two more buckets), or when a write finds its owner's share full: then its part is swept, and if that is not
 * enough all parts are, but not more often than every SWEEP_MS, as who writes into a full share may write all the
 * time. A part knows when its next entry expires and is not swept before: each sweep is paid for by an entry that was
 * written. */
#include "base/shared.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/rand.h"
#include "base/siphash.h"

#define PARTS         64
#define BYTES_DEFAULT (16u << 20)
#define SWEEP         2
#define SWEEP_MS      100

struct entry {
    struct entry *next;
    uint64_t hash, expires_ms; /* expires_ms 0: never */
    struct peri_shared_value value;
    uint32_t key_n, text_room;
    unsigned share;
    char bytes[]; /* the key, then the text */
};

struct part {
    alignas(64) pthread_mutex_t lock; /* no two on a cache line */
    struct entry **buckets;
    size_t bucket_count, count, bytes, swept;
    uint64_t first_ms; /* no entry expires earlier; 0: none does */
};

struct share {
    uint64_t owner; /* hash of its name; of share 0: nobody's */
    atomic_size_t bytes;
    _Atomic uint64_t swept_ms; /* when all parts were last swept for it */
};

struct peri_shared {
    const struct peri_clock *clock;
    uint64_t secret[2];
    size_t share_bytes_max;
    struct part parts[PARTS];
    atomic_size_t looked_at; /* entries, in sweeps of whole parts */
    pthread_mutex_t shares_lock;
    unsigned share_count;
    struct share shares[PERI_SHARED_SHARES];
};

static uint64_t now_ms(const struct peri_shared *shared) {
    return peri_clock_monotonic_ns(shared->clock) / 1000000u;
}

/* One part; its lock is held. */

static size_t entry_bytes(const struct entry *e) { return sizeof *e + e->key_n + e->text_room; }

static bool is_expired(const struct entry *e, uint64_t now) {
    return e->expires_ms != 0 && e->expires_ms <= now;
}

static void drop_entry(struct peri_shared *shared, struct part *part, struct entry **at) {
    struct entry *e = *at;
    *at = e->next;
    part->count--;
    part->bytes -= entry_bytes(e);
    atomic_fetch_sub(&shared->shares[e->share].bytes, entry_bytes(e));
    peri_free(e);
}

/* Take room of a share, if it has as much. */
static bool take_room(struct peri_shared *shared, unsigned share, size_t bytes) {
    atomic_size_t *held = &shared->shares[share].bytes;
    size_t before = atomic_load(held);
    do {
        if (bytes > shared->share_bytes_max || before > shared->share_bytes_max - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(held, &before, before + bytes));
    return true;
}

static void sweep_bucket(struct peri_shared *shared, struct part *part, size_t i, uint64_t now) {
    for (struct entry **at = &part->buckets[i]; *at != NULL;) {
        if (is_expired(*at, now))
            drop_entry(shared, part, at);
        else
            at = &(*at)->next;
    }
}

static void sweep_part(struct peri_shared *shared, struct part *part, size_t buckets,
                       uint64_t now) {
    for (; buckets > 0 && part->bucket_count > 0; buckets--)
        sweep_bucket(shared, part, part->swept++ & (part->bucket_count - 1), now);
}

static void note_expiry(struct part *part, uint64_t expires_ms) {
    if (expires_ms != 0 && (part->first_ms == 0 || expires_ms < part->first_ms))
        part->first_ms = expires_ms;
}

static void sweep_whole(struct peri_shared *shared, struct part *part, uint64_t now) {
    if (part->first_ms == 0 || part->first_ms > now) return;
    atomic_fetch_add(&shared->looked_at, part->count);
    sweep_part(shared, part, part->bucket_count, now);
    part->first_ms = 0;
    for (size_t i = 0; i < part->bucket_count; i++)
        for (const struct entry *e = part->buckets[i]; e != NULL; e = e->next)
            note_expiry(part, e->expires_ms);
}

/* Where the key's entry is linked; NULL when there is none. One that has expired is dropped. */
static struct entry **find(struct peri_shared *shared, struct part *part, struct peri_str key,
                           uint64_t hash, uint64_t now) {
    if (part->bucket_count == 0) return NULL;
    struct entry **at = &part->buckets[hash / PARTS & (part->bucket_count - 1)];
    for (; *at != NULL; at = &(*at)->next) {
        struct entry *e = *at;
        if (e->hash != hash || !peri_str_eq((struct peri_str){ e->bytes, e->key_n }, key)) continue;
        if (!is_expired(e, now)) return at;
        drop_entry(shared, part, at);
        return NULL;
    }
    return NULL;
}

static enum peri_err grow_part(struct part *part) {
    if (part->count < part->bucket_count) return PERI_OK;
    size_t count = part->bucket_count == 0 ? 16 : part->bucket_count * 2;
    struct entry **buckets = peri_calloc(count, sizeof(struct entry *));
    if (buckets == NULL) return part->bucket_count == 0 ? PERI_ENOMEM : PERI_OK;
    for (size_t i = 0; i < part->bucket_count; i++)
        for (struct entry *e = part->buckets[i], *next; e != NULL; e = next) {
            struct entry **head = &buckets[e->hash / PARTS & (count - 1)];
            next = e->next;
            e->next = *head;
            *head = e;
        }
    peri_free(part->buckets);
    part->buckets = buckets;
    part->bucket_count = count;
    return PERI_OK;
}

static void fill(struct part *part, struct entry *e, const struct peri_shared_value *value,
                 uint64_t expires_ms) {
    e->value = *value;
    e->expires_ms = expires_ms;
    note_expiry(part, expires_ms);
    if (value->kind != PERI_SHARED_TEXT) return;
    e->value.text.p = e->bytes + e->key_n;
    if (value->text.n > 0) memmove(e->bytes + e->key_n, value->text.p, value->text.n);
}

static size_t text_bytes(const struct peri_shared_value *value) {
    return value->kind == PERI_SHARED_TEXT ? value->text.n : 0;
}

static enum peri_err insert(struct peri_shared *shared, struct part *part, unsigned share,
                            struct peri_str key, uint64_t hash,
                            const struct peri_shared_value *value, uint64_t expires_ms,
                            uint64_t now) {
    size_t text_n = text_bytes(value), bytes = sizeof(struct entry) + key.n + text_n;
    sweep_part(shared, part, SWEEP, now);
    if (!take_room(shared, share, bytes)) {
        sweep_whole(shared, part, now);
        if (!take_room(shared, share, bytes)) return PERI_EFULL;
    }
    enum peri_err err = grow_part(part);
    struct entry *e = err == PERI_OK ? peri_malloc(bytes) : NULL;
    if (e == NULL) {
        atomic_fetch_sub(&shared->shares[share].bytes, bytes);
        return PERI_ENOMEM;
    }
    struct entry **head = &part->buckets[hash / PARTS & (part->bucket_count - 1)];
    *e = (struct entry){ .next = *head,
                         .hash = hash,
                         .key_n = (uint32_t)key.n,
                         .text_room = (uint32_t)text_n,
                         .share = share };
    if (key.n > 0) memcpy(e->bytes, key.p, key.n);
    fill(part, e, value, expires_ms);
    *head = e;
    part->count++;
    part->bytes += bytes;
    return PERI_OK;
}

/* Replace, create or delete. A new entry is made before the old one goes, so a failure changes nothing. */
static enum peri_err put(struct peri_shared *shared, struct part *part, unsigned share,
                         struct peri_str key, uint64_t hash, const struct peri_shared_value *value,
                         uint64_t ttl_ms) {
    uint64_t now = now_ms(shared), expires_ms = ttl_ms == 0 ? 0 : now + ttl_ms;
    struct entry **at = find(shared, part, key, hash, now);
    if (value->kind == PERI_SHARED_NONE) {
        if (at != NULL) drop_entry(shared, part, at);
        return PERI_OK;
    }
    if (at == NULL) return insert(shared, part, share, key, hash, value, expires_ms, now);
    if ((*at)->share == share && text_bytes(value) <= (*at)->text_room) {
        fill(part, *at, value, expires_ms);
        return PERI_OK;
    }
    struct entry *old = *at;
    enum peri_err err = insert(shared, part, share, key, hash, value, expires_ms, now);
    if (err != PERI_OK) return err;
    at = &part->buckets[hash / PARTS & (part->bucket_count - 1)];
    while (*at != old) at = &(*at)->next;
    drop_entry(shared, part, at);
    return PERI_OK;
}

static bool is_equal(const struct peri_shared_value *a, const struct peri_shared_value *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case PERI_SHARED_BOOL: return a->boolean == b->boolean;
    case PERI_SHARED_INTEGER: return a->integer == b->integer;
    case PERI_SHARED_NUMBER: return a->number == b->number;
    case PERI_SHARED_TEXT: return peri_str_eq(a->text, b->text);
    case PERI_SHARED_NONE: break;
    }
    return true;
}

static int64_t add_integers(int64_t a, int64_t b) {
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

static double as_number(const struct peri_shared_value *v) {
    return v->kind == PERI_SHARED_INTEGER ? (double)v->integer : v->number;
}

/* The whole. */

static bool is_number(const struct peri_shared_value *v) {
    return v->kind == PERI_SHARED_INTEGER || v->kind == PERI_SHARED_NUMBER;
}

static bool fits_limits(struct peri_str key, const struct peri_shared_value *value) {
    return key.n <= PERI_SHARED_KEY_MAX && text_bytes(value) <= PERI_SHARED_TEXT_MAX;
}

static struct part *lock_part(struct peri_shared *shared, uint64_t hash) {
    struct part *part = &shared->parts[hash % PARTS];
    pthread_mutex_lock(&part->lock);
    return part;
}

enum peri_err peri_shared_new(struct peri_shared **out, size_t bytes_max,
                              const struct peri_clock *clock) {
    struct peri_shared *shared = aligned_alloc(alignof(struct peri_shared), sizeof *shared);
    *out = shared;
    if (shared == NULL) return PERI_ENOMEM;
    memset(shared, 0, sizeof *shared);
    shared->clock = clock;
    shared->share_bytes_max = bytes_max == 0 ? BYTES_DEFAULT : bytes_max;
    shared->share_count = 1;
    pthread_mutex_init(&shared->shares_lock, NULL);
    struct peri_rand r;
    peri_rand_seed_os(&r);
    for (int i = 0; i < 2; i++) shared->secret[i] = peri_rand_next(&r);
    for (int i = 0; i < PARTS; i++) pthread_mutex_init(&shared->parts[i].lock, NULL);
    return PERI_OK;
}

void peri_shared_free(struct peri_shared *shared) {
    if (shared == NULL) return;
    for (int i = 0; i < PARTS; i++) {
        struct part *part = &shared->parts[i];
        for (size_t b = 0; b < part->bucket_count; b++)
            while (part->buckets[b] != NULL) drop_entry(shared, part, &part->buckets[b]);
        peri_free(part->buckets);
        pthread_mutex_destroy(&part->lock);
    }
    pthread_mutex_destroy(&shared->shares_lock);
    free(shared);
}

unsigned peri_shared_share(struct peri_shared *shared, struct peri_str owner) {
    uint64_t hash = peri_siphash(shared->secret, owner);
    unsigned share = 1;
    pthread_mutex_lock(&shared->shares_lock);
    while (share < shared->share_count && shared->shares[share].owner != hash) share++;
    if (share == shared->share_count && share < PERI_SHARED_SHARES)
        shared->shares[shared->share_count++].owner = hash;
    pthread_mutex_unlock(&shared->shares_lock);
    return share < PERI_SHARED_SHARES ? share : 0;
}

/* No lock is held. gives whether there may be room now */
static bool sweep_all(struct peri_shared *shared, unsigned share) {
    uint64_t now = now_ms(shared), last = atomic_load(&shared->shares[share].swept_ms);
    if (last != 0 && now - last < SWEEP_MS) return false;
    if (!atomic_compare_exchange_strong(&shared->shares[share].swept_ms, &last, now)) return false;
    for (uint64_t i = 0; i < PARTS; i++) {
        struct part *part = lock_part(shared, i);
        sweep_whole(shared, part, now);
        pthread_mutex_unlock(&part->lock);
    }
    return true;
}

void peri_shared_get(struct peri_shared *shared, struct peri_shared_value *out,
                     char room[PERI_SHARED_TEXT_MAX], struct peri_str key) {
    uint64_t hash = peri_siphash(shared->secret, key);
    struct part *part = lock_part(shared, hash);
    struct entry **at = find(shared, part, key, hash, now_ms(shared));
    out->kind = PERI_SHARED_NONE;
    if (at != NULL) *out = (*at)->value;
    if (out->kind == PERI_SHARED_TEXT) {
        if (out->text.n > 0) memcpy(room, out->text.p, out->text.n);
        out->text.p = room;
    }
    pthread_mutex_unlock(&part->lock);
}

static enum peri_err set_once(struct peri_shared *shared, unsigned share, struct peri_str key,
                              const struct peri_shared_value *value, uint64_t ttl_ms) {
    uint64_t hash = peri_siphash(shared->secret, key);
    struct part *part = lock_part(shared, hash);
    enum peri_err err = put(shared, part, share, key, hash, value, ttl_ms);
    pthread_mutex_unlock(&part->lock);
    return err;
}

enum peri_err peri_shared_set(struct peri_shared *shared, unsigned share, struct peri_str key,
                              const struct peri_shared_value *value, uint64_t ttl_ms) {
    if (!fits_limits(key, value)) return PERI_ETOOBIG;
    enum peri_err err = set_once(shared, share, key, value, ttl_ms);
    if (err == PERI_EFULL && sweep_all(shared, share))
        err = set_once(shared, share, key, value, ttl_ms);
    return err;
}

static enum peri_err add_once(struct peri_shared *shared, unsigned share, struct peri_str key,
                              struct peri_shared_value *value, uint64_t ttl_ms) {
    uint64_t hash = peri_siphash(shared->secret, key);
    struct part *part = lock_part(shared, hash);
    struct entry **at = find(shared, part, key, hash, now_ms(shared));
    enum peri_err err = PERI_OK;
    if (at == NULL) {
        err = put(shared, part, share, key, hash, value, ttl_ms);
    } else if (!is_number(&(*at)->value)) {
        err = PERI_EINVAL;
    } else {
        struct peri_shared_value *sum = &(*at)->value;
        if (sum->kind == PERI_SHARED_INTEGER && value->kind == PERI_SHARED_INTEGER)
            sum->integer = add_integers(sum->integer, value->integer);
        else
            *sum = (struct peri_shared_value){ .kind = PERI_SHARED_NUMBER,
                                               .number = as_number(sum) + as_number(value) };
        *value = *sum;
    }
    pthread_mutex_unlock(&part->lock);
    return err;
}

enum peri_err peri_shared_add(struct peri_shared *shared, unsigned share, struct peri_str key,
                              struct peri_shared_value *value, uint64_t ttl_ms) {
    if (!fits_limits(key, value)) return PERI_ETOOBIG;
    if (!is_number(value)) return PERI_EINVAL;
    enum peri_err err = add_once(shared, share, key, value, ttl_ms);
    if (err == PERI_EFULL && sweep_all(shared, share))
        err = add_once(shared, share, key, value, ttl_ms);
    return err;
}

static enum peri_err swap_once(struct peri_shared *shared, unsigned share, struct peri_str key,
                               const struct peri_shared_value *expected,
                               const struct peri_shared_value *value, uint64_t ttl_ms,
                               bool *is_set) {
    uint64_t hash = peri_siphash(shared->secret, key);
    struct part *part = lock_part(shared, hash);
    struct entry **at = find(shared, part, key, hash, now_ms(shared));
    static const struct peri_shared_value none = { .kind = PERI_SHARED_NONE };
    enum peri_err err = PERI_OK;
    if (is_equal(at == NULL ? &none : &(*at)->value, expected)) {
        err = put(shared, part, share, key, hash, value, ttl_ms);
        *is_set = err == PERI_OK;
    }
    pthread_mutex_unlock(&part->lock);
    return err;
}

enum peri_err peri_shared_swap(struct peri_shared *shared, unsigned share, struct peri_str key,
                               const struct peri_shared_value *expected,
                               const struct peri_shared_value *value, uint64_t ttl_ms,
                               bool *is_set) {
    *is_set = false;
    if (!fits_limits(key, value)) return PERI_ETOOBIG;
    enum peri_err err = swap_once(shared, share, key, expected, value, ttl_ms, is_set);
    if (err == PERI_EFULL && sweep_all(shared, share))
        err = swap_once(shared, share, key, expected, value, ttl_ms, is_set);
    return err;
}

size_t peri_shared_share_bytes(const struct peri_shared *shared, unsigned share) {
    return atomic_load(&shared->shares[share].bytes);
}

size_t peri_shared_count(struct peri_shared *shared) {
    size_t count = 0;
    for (uint64_t i = 0; i < PARTS; i++) {
        struct part *part = lock_part(shared, i);
        count += part->count;
        pthread_mutex_unlock(&part->lock);
    }
    return count;
}

size_t peri_shared_bytes(struct peri_shared *shared) {
    size_t bytes = 0;
    for (uint64_t i = 0; i < PARTS; i++) {
        struct part *part = lock_part(shared, i);
        bytes += part->bytes;
        pthread_mutex_unlock(&part->lock);
    }
    return bytes;
}

size_t peri_shared_looked_at(const struct peri_shared *shared) {
    return atomic_load(&shared->looked_at);
}
