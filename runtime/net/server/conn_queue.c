/* What an answer's bytes wait in when the client reads slower than the owner writes: blocks in a chain, sent with one
 * system call for many, each freed as soon as the kernel has it. Nothing is copied while the kernel keeps up. */
#include <errno.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/server/conn.h"

#define PARTS_MAX   16
#define BLOCK_MIN   (2048 - sizeof(struct peri_block))
#define BLOCK_MAX   (65536 - sizeof(struct peri_block))
#define SPARE_MAX   4096
#define DRAIN_TURNS 4 /* writes in a row for one connection, then the others have a go */

static struct peri_block *block_new(struct peri_server *s, size_t n) {
    struct peri_block *b = s->spare;
    if (b != NULL && b->cap >= n) {
        s->spare = NULL;
    } else {
        size_t cap = n < BLOCK_MIN ? BLOCK_MIN : n;
        b = peri_malloc(sizeof *b + cap);
        if (b == NULL) return NULL;
        b->cap = (uint32_t)cap;
    }
    b->next = NULL;
    b->at = b->n = 0;
    return b;
}

static void block_free(struct peri_server *s, struct peri_block *b) {
    if (s->spare == NULL && b->cap <= SPARE_MAX)
        s->spare = b;
    else
        peri_free(b);
}

struct peri_block *peri_conn_block(struct peri_conn *c, size_t n) {
    struct peri_block *b = block_new(c->server, n);
    if (b == NULL) return NULL;
    *c->last = b;
    c->last = &b->next;
    return b;
}

static void pop(struct peri_conn *c) {
    struct peri_block *b = c->first;
    c->first = b->next;
    if (c->first == NULL) c->last = &c->first;
    block_free(c->server, b);
}

void peri_conn_drop_queue(struct peri_conn *c) {
    while (c->first != NULL) pop(c);
    c->queued = 0;
    c->is_held = false;
}

void peri_conn_break(struct peri_conn *c) {
    c->is_broken = true;
    c->must_close = true;
    peri_conn_drop_queue(c);
    shutdown(c->fd, SHUT_RDWR);
}

/* Take n sent bytes off the queue; gives how many of them were not the queue's. */
static size_t take_sent(struct peri_conn *c, size_t n) {
    while (c->first != NULL && n > 0) {
        struct peri_block *b = c->first;
        size_t have = b->n - b->at, gone = n < have ? n : have;
        b->at += (uint32_t)gone;
        c->queued -= gone;
        n -= gone;
        if (b->at == b->n) pop(c);
    }
    return n;
}

/* The queue's front, then the parts. */
static ptrdiff_t transmit(struct peri_conn *c, const struct peri_str *parts, size_t count) {
    struct iovec iov[PARTS_MAX];
    size_t used = 0;
    for (struct peri_block *b = c->first; b != NULL && used < PARTS_MAX - count; b = b->next)
        iov[used++] = (struct iovec){ b->data + b->at, b->n - b->at };
    for (size_t i = 0; i < count; i++)
        if (parts[i].n > 0) iov[used++] = (struct iovec){ (char *)parts[i].p, parts[i].n };
    struct msghdr message = { .msg_iov = iov, .msg_iovlen = used };
    ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
    peri_conn_break(c);
    return -1;
}

static bool append(struct peri_conn *c, struct peri_str s) {
    while (s.n > 0) {
        struct peri_block *b =
            c->first == NULL ? NULL : peri_list_entry(c->last, struct peri_block, next);
        if (b == NULL || b->n == b->cap) {
            b = peri_conn_block(c, s.n < BLOCK_MAX ? s.n : BLOCK_MAX);
            if (b == NULL) return false;
        }
        size_t room = b->cap - b->n, n = s.n < room ? s.n : room;
        memcpy(b->data + b->n, s.p, n);
        b->n += (uint32_t)n;
        c->queued += n;
        s = peri_str_from(s, n);
    }
    return true;
}

enum peri_err peri_conn_send(struct peri_conn *c, const struct peri_str *parts, size_t count) {
    if (c->is_broken) return PERI_ECLOSED;
    bool was_waiting = c->queued > 0 && !c->is_held;
    size_t sent = 0;
    if (!was_waiting) {
        ptrdiff_t n = transmit(c, parts, count);
        if (n < 0) return PERI_ECLOSED;
        c->is_held = false;
        sent = take_sent(c, (size_t)n);
    }
    for (size_t i = 0; i < count; i++) {
        size_t gone = sent < parts[i].n ? sent : parts[i].n;
        sent -= gone;
        if (append(c, peri_str_from(parts[i], gone))) continue;
        peri_conn_break(c);
        return PERI_ENOMEM;
    }
    if (!was_waiting && c->queued > 0 &&
        peri_timer_start(&c->timer, c->server->limits.write_ms) != PERI_OK) {
        peri_conn_break(c);
        return PERI_ENOMEM;
    }
    return PERI_OK;
}

bool peri_conn_drain(struct peri_conn *c) {
    bool has_moved = false;
    for (int turn = 0; turn < DRAIN_TURNS && c->queued > 0; turn++) {
        ptrdiff_t n = transmit(c, NULL, 0);
        if (n <= 0) break;
        take_sent(c, (size_t)n);
        has_moved = true;
    }
    return has_moved;
}
