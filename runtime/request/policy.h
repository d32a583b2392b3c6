/* The interface of policies, which decide about requests: a table of functions and a pointer, counted by reference so that
 * requests under way finish on the policies they started with. `request` never learns whether Lua or C is behind it.
 */
#ifndef PERI_REQUEST_POLICY_H
#define PERI_REQUEST_POLICY_H

#include "base/str.h"

struct peri_worker;

struct peri_policy {
    const struct peri_policy_ops *ops; /* a function that is NULL costs nothing */
    void *self;
    void (*free)(struct peri_policy *p); /* with p itself, whose memory it is */
    struct peri_str name;                /* of what routes: "weighted"; lives in self */
    uint64_t generation;
    unsigned refs; /* of one worker's thread */
};

static inline struct peri_policy *peri_policy_ref(struct peri_policy *p) {
    p->refs++;
    return p;
}

/* Takes NULL. */
static inline void peri_policy_unref(struct peri_policy *p) {
    if (p != NULL && --p->refs == 0) p->free(p);
}

/* Where policies come from. A program is what was read and checked once; each worker makes its own policy of it. */
struct peri_policy_source {
    /* Any thread. `out` gets something immutable, or NULL when there are no policies.
     *   current      the current program; NULL: none
     *   generation   that this one will be */
    enum peri_err (*load)(void *arg, void **out, void *current, uint64_t generation,
                          struct peri_fault *fault);
    /* Any thread, while the worker goes on with its own: of the worker only what never changes may be looked at. The
     * policy starts with one reference. */
    enum peri_err (*open)(void *arg, struct peri_policy **out, void *program, struct peri_worker *w,
                          uint64_t generation, struct peri_fault *fault);
    /* Any thread, when every worker's policy is made and none has taken its own over: a last look at the program. May be NULL.
     *   current   the current program; NULL: none */
    void (*prove)(void *arg, void *program, void *current);
    /* On the worker's thread, before the policy decides anything: it belongs there from now on. May be NULL. */
    void (*adopt)(struct peri_policy *p, struct peri_worker *w);
    void (*drop)(void *arg, void *program);
    /* Any thread, while the program is not dropped: how its policies stand, as a JSON array. May be NULL. */
    void (*list)(void *arg, void *program, struct peri_buf *out);
    void *arg;
};

#endif
