/* How the policies' files fare: which text of each is current, and how often it failed in a row. Shared by all workers;
 * a reload takes over what is known of a file that did not change.
 *
 *   STANDS     its own text runs
 *   FELL_BACK  it failed `policy.failures` times in a row: its last text that worked runs
 *   OUT        that failed as well, or there is none: nothing of it runs until the file changes
 *
 * A file has changed when its text, its options or its time stamp are others: saved again as it is, it has another try.
 * A row is counted for each hook, over all workers, and one request counts once: one stream whose every event fails is
 * one failure. Any success of that hook ends the row. A text has worked when a hook of it has returned and no row is
 * open when the next text replaces it.
 *
 * A hook that has returned once, for a request or for one of the samples that a text is tried on when it is loaded
 * (script/policy/sample.h), is proven in that text: what it fails at afterwards is that request's fault, and counts for none
 * of the others. Otherwise any client that knows an input which makes a policy raise could put the policy out
 * for everybody, and with a guard the whole router. Only what reaches the memory cap counts all the same: the policies of a
 * worker share the heap.
 */
#ifndef PERI_SCRIPT_POLICY_POLICY_STANDING_H
#define PERI_SCRIPT_POLICY_POLICY_STANDING_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/name.h"
#include "perilune.h"

/* The hooks of a policy in Lua: the enumerator, and the name of the function. */
#define PERI_HOOK_MAP(X)                                                                           \
    X(REQUEST, "request")                                                                          \
    X(ROUTE, "route")                                                                              \
    X(ATTEMPT, "attempt")                                                                          \
    X(EVENT, "event")                                                                              \
    X(ANSWER, "answer")                                                                            \
    X(DONE, "done")                                                                                \
    X(EPOCH, "epoch")

enum peri_hook {
#define PERI_HOOK_ENUM(name, text) PERI_ON_##name,
    PERI_HOOK_MAP(PERI_HOOK_ENUM)
#undef PERI_HOOK_ENUM
        PERI_HOOK_COUNT
};

enum peri_policy_state { PERI_POLICY_STANDS, PERI_POLICY_FELL_BACK, PERI_POLICY_OUT };

/* One text of a policy's file; immutable, counted by reference. */
struct peri_policy_file {
    atomic_uint refs;
    uint64_t generation;     /* that brought it */
    int64_t changed_ns;      /* the file's time stamp */
    struct peri_str name;    /* as configured: what messages show */
    struct peri_str source;  /* text */
    struct peri_str options; /* JSON object */
    const char *folder;      /* where its own modules stand */
    atomic_bool is_proven[PERI_HOOK_COUNT];
};

/* How a policy came to be where it is, for the operator. */
struct peri_policy_fall {
    char name[PERI_NAME_MAX + 1]; /* its own, or its file's */
    bool is_guard;
    uint64_t since_ns; /* wall clock; 0: it stands */
    const char *hook;  /* that failed last; NULL: none, its text could not be loaded */
    char at[256];      /* file:line */
    struct peri_fault fault;
};

struct peri_policy_standing {
    atomic_uint refs;
    struct peri_policy_file *file;
    struct peri_policy_file *earlier; /* its last text that worked; NULL: none */
    atomic_uint state;                /* enum peri_policy_state */
    atomic_uint rows[PERI_HOOK_COUNT];
    pthread_mutex_t lock;
    struct peri_policy_fall fall; /* under lock */
};

/* Copies all of it. gives NULL when memory ran out */
struct peri_policy_file *peri_policy_file_new(struct peri_str name, struct peri_str source,
                                              struct peri_str options, struct peri_str folder,
                                              int64_t changed_ns, uint64_t generation);
/* Takes NULL. */
void peri_policy_file_unref(struct peri_policy_file *f);

/* What becomes of a file at a load.
 *   file     one reference is taken over
 *   before   how the file of that name has fared until now; NULL: it is new
 *   gives    `before` itself, referenced, when nothing changed · a new one · NULL: memory ran out */
struct peri_policy_standing *peri_policy_standing_of(struct peri_policy_file *file,
                                                     struct peri_policy_standing *before);
struct peri_policy_standing *peri_policy_standing_ref(struct peri_policy_standing *s);
/* Takes NULL. */
void peri_policy_standing_unref(struct peri_policy_standing *s);

static inline enum peri_policy_state peri_policy_state_of(const struct peri_policy_standing *s) {
    return (enum peri_policy_state)atomic_load_explicit(&s->state, memory_order_acquire);
}

/* The current text in that state; NULL: none. */
static inline struct peri_policy_file *peri_policy_text(const struct peri_policy_standing *s,
                                                        enum peri_policy_state state) {
    return state == PERI_POLICY_STANDS      ? s->file
           : state == PERI_POLICY_FELL_BACK ? s->earlier
                                            : NULL;
}

/* A hook returned in a worker that runs the text of `state`. */
static inline void peri_policy_standing_worked(struct peri_policy_standing *s, enum peri_hook hook,
                                               enum peri_policy_state state) {
    struct peri_policy_file *text = peri_policy_text(s, state);
    if (atomic_load_explicit(&s->rows[hook], memory_order_relaxed) != 0 &&
        peri_policy_state_of(s) == state)
        atomic_store_explicit(&s->rows[hook], 0, memory_order_relaxed);
    if (text != NULL && !atomic_load_explicit(&text->is_proven[hook], memory_order_relaxed))
        atomic_store_explicit(&text->is_proven[hook], true, memory_order_relaxed);
}

/* A hook failed in a worker that runs the text of `state`.
 *   max        failures that make a row; 0: none do
 *   is_at_cap  it failed at the memory cap: that counts for a proven hook, too
 *   gives      true when that was the last of the row: the state is another now, and it is the caller's to say so */
bool peri_policy_standing_failed(struct peri_policy_standing *s, enum peri_hook hook,
                                 enum peri_policy_state state, unsigned max, bool is_at_cap);
/* The text of that state can not be loaded any more.
 *   gives   as peri_policy_standing_failed */
bool peri_policy_standing_fall(struct peri_policy_standing *s, enum peri_policy_state state);

/* The same texts with the same options: what is proven of one holds for the other. */
bool peri_policy_file_is_same(const struct peri_policy_file *a, const struct peri_policy_file *b);

/* For the operator: how it is called, and what made it fall. Any thread. */
void peri_policy_standing_name(struct peri_policy_standing *s, struct peri_str name, bool is_guard);
void peri_policy_standing_note(struct peri_policy_standing *s, uint64_t now_ns, const char *hook,
                               const char *at, const struct peri_fault *fault);
void peri_policy_standing_read(struct peri_policy_standing *s, struct peri_policy_fall *out);

#endif
