#include "script/policy/policy_standing.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* ---- Texts ---- */

static struct peri_str copy(char **to, struct peri_str s) {
    char *p = *to;
    if (s.n > 0) memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *to += s.n + 1;
    return (struct peri_str){ p, s.n };
}

struct peri_policy_file *peri_policy_file_new(struct peri_str name, struct peri_str source,
                                              struct peri_str options, struct peri_str folder,
                                              int64_t changed_ns, uint64_t generation) {
    size_t n = name.n + source.n + options.n + folder.n + 4;
    struct peri_policy_file *f = peri_malloc(sizeof *f + n);
    if (f == NULL) return NULL;
    char *at = (char *)(f + 1);
    atomic_init(&f->refs, 1);
    for (int i = 0; i < PERI_HOOK_COUNT; i++) atomic_init(&f->is_proven[i], false);
    f->generation = generation;
    f->changed_ns = changed_ns;
    f->name = copy(&at, name);
    f->source = copy(&at, source);
    f->options = copy(&at, options);
    f->folder = copy(&at, folder).p;
    return f;
}

static struct peri_policy_file *file_ref(struct peri_policy_file *f) {
    if (f != NULL) atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void peri_policy_file_unref(struct peri_policy_file *f) {
    if (f != NULL && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        peri_free(f);
}

bool peri_policy_file_is_same(const struct peri_policy_file *a, const struct peri_policy_file *b) {
    return peri_str_eq(a->source, b->source) && peri_str_eq(a->options, b->options);
}

/* ---- Standings ---- */

static bool has_worked(const struct peri_policy_standing *s) {
    bool is_proven = false;
    if (peri_policy_state_of(s) != PERI_POLICY_STANDS) return false;
    for (int i = 0; i < PERI_HOOK_COUNT; i++) {
        if (atomic_load(&s->rows[i]) != 0) return false;
        is_proven |= atomic_load(&s->file->is_proven[i]);
    }
    return is_proven;
}

struct peri_policy_standing *peri_policy_standing_of(struct peri_policy_file *file,
                                                     struct peri_policy_standing *before) {
    bool is_same = before != NULL && peri_policy_file_is_same(before->file, file);
    if (is_same && before->file->changed_ns == file->changed_ns) {
        peri_policy_file_unref(file);
        return peri_policy_standing_ref(before);
    }
    struct peri_policy_standing *s = peri_calloc(1, sizeof *s);
    if (s == NULL) {
        peri_policy_file_unref(file);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    s->file = file;
    if (before != NULL)
        s->earlier = file_ref(!is_same && has_worked(before) ? before->file : before->earlier);
    return s;
}

struct peri_policy_standing *peri_policy_standing_ref(struct peri_policy_standing *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void peri_policy_standing_unref(struct peri_policy_standing *s) {
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    peri_policy_file_unref(s->file);
    peri_policy_file_unref(s->earlier);
    pthread_mutex_destroy(&s->lock);
    peri_free(s);
}

bool peri_policy_standing_fall(struct peri_policy_standing *s, enum peri_policy_state state) {
    if (state == PERI_POLICY_OUT) return false; /* it can not fall lower */
    bool can_go_back = state == PERI_POLICY_STANDS && s->earlier != NULL;
    unsigned was = state, next = can_go_back ? PERI_POLICY_FELL_BACK : PERI_POLICY_OUT;
    if (!atomic_compare_exchange_strong(&s->state, &was, next)) return false;
    for (int i = 0; i < PERI_HOOK_COUNT; i++) atomic_store(&s->rows[i], 0);
    return true;
}

bool peri_policy_standing_failed(struct peri_policy_standing *s, enum peri_hook hook,
                                 enum peri_policy_state state, unsigned max, bool is_at_cap) {
    const struct peri_policy_file *text = peri_policy_text(s, state);
    if (text == NULL) return false;
    if (!is_at_cap && atomic_load_explicit(&text->is_proven[hook], memory_order_relaxed))
        return false;
    /* A worker that has not heard yet goes on with the text before: that is no failure of the current one. */
    if (peri_policy_state_of(s) != state) return false;
    unsigned row = atomic_fetch_add_explicit(&s->rows[hook], 1, memory_order_relaxed) + 1;
    return max > 0 && row >= max && peri_policy_standing_fall(s, state);
}

/* ---- For the operator ---- */

void peri_policy_standing_name(struct peri_policy_standing *s, struct peri_str name,
                               bool is_guard) {
    pthread_mutex_lock(&s->lock);
    snprintf(s->fall.name, sizeof s->fall.name, "%.*s", PERI_STR_ARGS(name));
    s->fall.is_guard = is_guard;
    pthread_mutex_unlock(&s->lock);
}

void peri_policy_standing_note(struct peri_policy_standing *s, uint64_t now_ns, const char *hook,
                               const char *at, const struct peri_fault *fault) {
    pthread_mutex_lock(&s->lock);
    s->fall.since_ns = now_ns;
    s->fall.hook = hook;
    snprintf(s->fall.at, sizeof s->fall.at, "%s", at);
    s->fall.fault = *fault;
    pthread_mutex_unlock(&s->lock);
}

void peri_policy_standing_read(struct peri_policy_standing *s, struct peri_policy_fall *out) {
    pthread_mutex_lock(&s->lock);
    *out = s->fall;
    pthread_mutex_unlock(&s->lock);
}
