/* One request from C: the sink of peri_router_send.
 *
 *   OPEN      what comes is passed on at once
 *   PAUSED    the host has asked for a pause: what comes is held, and an end of its own with it, in router->held_ends
 *   OVER      `end` has run
 *
 * Counted by reference: the request holds it until its memory is given back, as the body is read that long; the host
 * until it frees it; a message on its way; and the list of held ends. Everything but the count of these is of the
 * thread that serves; cancel and resume are messages to it.
 */
#include <stdatomic.h>

#include "base/mem.h"
#include "base/sized.h"
#include "request/admission.h"
#include "router/router.h"

#define HELD_MAX ((size_t)1 << 20) /* as a client's queue takes (net/server/server.h) */

enum sending_state { SENDING_OPEN, SENDING_PAUSED, SENDING_OVER };

struct peri_sending {
    struct peri_list link; /* in router->held_ends, or alone */
    atomic_int refs;
    struct peri_router *router;
    struct peri_worker *worker;
    struct peri_answer_ops ops;
    void *arg;
    const struct peri_dialect *dialect;
    struct peri_request *request; /* NULL once it has ended */
    enum sending_state state;
    struct peri_buf held;
    bool has_ended; /* while it was paused, with held_err */
    enum peri_err held_err;
    bool is_cancelled;
    bool is_owned; /* the host has it, and can go on after a pause */
    size_t n;
    char body[];
};

static void unref_sending(struct peri_sending *s) {
    if (atomic_fetch_sub(&s->refs, 1) != 1) return;
    peri_buf_done(&s->held);
    peri_free(s);
}

static void drop_sending(void *self) { unref_sending(self); }

static void tell_end(struct peri_sending *s, enum peri_err err) {
    peri_list_remove(&s->link);
    s->request = NULL;
    s->state = SENDING_OVER;
    peri_buf_done(&s->held);
    if (s->ops.end != NULL) s->ops.end(s->arg, s->is_cancelled ? PERI_ECANCELED : err);
    if (s->has_ended) unref_sending(s); /* the list's */
}

static void tell_bytes(struct peri_sending *s, struct peri_str bytes) {
    if (s->ops.bytes == NULL || bytes.n == 0) return;
    bool goes_on = s->ops.bytes(s->arg, bytes);
    s->state = goes_on || !s->is_owned ? SENDING_OPEN : SENDING_PAUSED;
}

/* ---- The sink ---- */

static void start_answer(void *self, int status, const struct peri_header *headers, size_t count,
                         uint64_t length) {
    struct peri_sending *s = self;
    (void)length;
    if (s->ops.head != NULL) s->ops.head(s->arg, status, headers, count);
}

static enum peri_err write_answer(void *self, struct peri_str bytes) {
    struct peri_sending *s = self;
    if (s->state == SENDING_OPEN) {
        tell_bytes(s, bytes);
        return s->state == SENDING_OPEN ? PERI_OK : PERI_EFULL;
    }
    return peri_buf_add(&s->held, bytes) == PERI_OK ? PERI_EFULL : PERI_ETOOBIG;
}

static void flush_answer(void *self) { (void)self; }

/* An error answer is whole; a stream that an error frame ended is not. */
static void end_answer(void *self) {
    struct peri_sending *s = self;
    const struct peri_outcome *o = s->request == NULL ? NULL : &s->request->outcome;
    enum peri_err err = o != NULL && o->err != PERI_OK && o->status < 400 ? o->err : PERI_OK;
    /* What is held is less than the answer when an append failed. */
    if (s->held.err != PERI_OK) err = PERI_ETRUNCATED;
    if (s->state == SENDING_OPEN) {
        tell_end(s, err);
        return;
    }
    s->request = NULL;
    s->has_ended = true;
    s->held_err = err;
    atomic_fetch_add(&s->refs, 1);
    peri_list_insert(&s->router->held_ends, &s->link);
}

static void abort_answer(void *self) {
    struct peri_sending *s = self;
    tell_end(s, s->worker->env.is_draining ? PERI_ESTOPPING : PERI_ETRUNCATED);
}

static const struct peri_sink_ops sink_ops = { start_answer, write_answer, flush_answer, end_answer,
                                               abort_answer };

/* ---- Messages to the thread that serves ---- */

static void send_now(void *arg) {
    struct peri_sending *s = arg;
    struct peri_request_env *env = &s->worker->env;
    if (env->is_draining) {
        tell_end(s, PERI_ESTOPPING);
        unref_sending(s);
        return;
    }
    atomic_fetch_add(&s->refs, 1);
    peri_request_begin_direct(&s->request, env, s->dialect, (struct peri_str){ s->body, s->n },
                              (struct peri_sink){ &sink_ops, s }, drop_sending);
    unref_sending(s);
}

static void cancel_now(void *arg) {
    struct peri_sending *s = arg;
    s->is_cancelled = s->state != SENDING_OVER;
    if (s->is_cancelled && s->request != NULL)
        peri_request_abandon(s->request, PERI_ECANCELED);
    else if (s->is_cancelled && s->has_ended)
        tell_end(s, PERI_ECANCELED);
    unref_sending(s);
}

static void resume_now(void *arg) {
    struct peri_sending *s = arg;
    if (s->state == SENDING_PAUSED) {
        struct peri_buf held = s->held;
        peri_buf_init(&s->held, HELD_MAX);
        s->held.err = held.err;
        s->state = SENDING_OPEN;
        tell_bytes(s, peri_buf_str(&held));
        peri_buf_done(&held);
        if (s->state == SENDING_OPEN && s->has_ended)
            tell_end(s, s->held_err);
        else if (s->state == SENDING_OPEN && s->request != NULL)
            peri_request_drained(s->request);
    }
    unref_sending(s);
}

static enum peri_err post_sending(struct peri_sending *s, void (*run)(void *arg)) {
    atomic_fetch_add(&s->refs, 1);
    enum peri_err err = peri_loop_post(s->worker->env.loop, run, s);
    if (err != PERI_OK) unref_sending(s);
    return err;
}

void peri_router_end_sendings(struct peri_router *r) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &r->held_ends)
        tell_end(peri_list_entry(at, struct peri_sending, link), PERI_ESTOPPING);
}

/* ---- perilune.h ---- */

enum peri_err peri_sending_cancel(struct peri_sending *s) { return post_sending(s, cancel_now); }
enum peri_err peri_sending_resume(struct peri_sending *s) { return post_sending(s, resume_now); }

void peri_sending_free(struct peri_sending *s) {
    if (s != NULL) unref_sending(s);
}

enum peri_err peri_router_send(struct peri_sending **out, struct peri_router *r, const char *path,
                               struct peri_str body, const struct peri_answer_ops *ops, void *arg) {
    struct peri_answer_ops known;
    const struct peri_dialect *dialect = peri_dialect_of_path(peri_str_of(path));
    if (dialect == NULL) return PERI_ENOTFOUND;
    if (peri_sized_read(&known, sizeof known, ops) != PERI_OK) return PERI_EINVAL;
    if (atomic_load(&r->runtime->is_stopping)) return PERI_ESTOPPING;
    struct peri_sending *s = peri_malloc(sizeof *s + body.n);
    if (s == NULL) return PERI_ENOMEM;
    *s = (struct peri_sending){ .router = r,
                                .worker = r->runtime->workers[0],
                                .ops = known,
                                .arg = arg,
                                .dialect = dialect,
                                .is_owned = out != NULL,
                                .n = body.n };
    peri_list_init(&s->link);
    atomic_init(&s->refs, out != NULL ? 2 : 1);
    peri_buf_init(&s->held, HELD_MAX);
    if (body.n > 0) memcpy(s->body, body.p, body.n);
    if (out != NULL) *out = s;
    if (!s->worker->has_thread) {
        send_now(s);
        return PERI_OK;
    }
    enum peri_err err = peri_loop_post(s->worker->env.loop, send_now, s);
    if (err != PERI_OK) peri_free(s);
    if (err != PERI_OK && out != NULL) *out = NULL;
    return err;
}
