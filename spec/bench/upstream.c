/* The provider of the benchmark: one thread, epoll, as little work per request as can be, so that what is
 * measured is the gateway in front of it.
 *
 *   upstream PORT [late]
 *
 * What it answers depends on the request's body:
 *   "model":"bench-hold"   an event stream: one piece of content, then silence until the other side closes
 *   "stream":true          an event stream of 50 chunks, 5 ms apart, each written on its own
 *   anything else          one chat completion, 577 bytes of JSON
 * With `late` every answer begins 5 ms after its request, so that no gateway ever finds it there already: what a
 * request costs in instructions then does not depend on who was faster.
 *
 * A request must carry Content-Length. A peer that does not take what is written to it is cut off: nothing
 * here waits for slow readers.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNKS = 50, PACE_MS = 5, REQUEST_MAX = 1 << 20, EVENTS = 512 };
/* What a connection sends next; from 0 on it is a chunk of a stream. */
enum { NOTHING = -2, ANSWER = -1 };

struct conn {
    int fd;
    size_t have, room;
    char *bytes;
    int next_out, is_held;
    long long due_ms;         /* when it goes out */
    struct conn *prev, *next; /* those that send something, the earliest due first */
};

struct upstream {
    int epoll;
    struct conn *first, *last;
    int is_late;
    char answer[1024];
    size_t answer_bytes;
};

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void unqueue(struct upstream *u, struct conn *c) {
    if (c->next_out == NOTHING) return;
    *(c->prev != NULL ? &c->prev->next : &u->first) = c->next;
    *(c->next != NULL ? &c->next->prev : &u->last) = c->prev;
    c->prev = c->next = NULL;
    c->next_out = NOTHING;
}

/* Everybody waits equally long, so appending keeps the queue in order. */
static void queue(struct upstream *u, struct conn *c, int next_out) {
    c->next_out = next_out;
    c->due_ms = now_ms() + PACE_MS;
    c->next = NULL;
    c->prev = u->last;
    *(u->last != NULL ? &u->last->next : &u->first) = c;
    u->last = c;
}

static void drop(struct upstream *u, struct conn *c) {
    unqueue(u, c);
    close(c->fd);
    free(c->bytes);
    free(c);
}

static int put(struct conn *c, const char *bytes, size_t n) {
    return send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

static int put_chunk(struct conn *c, int chunk) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    char data[512], out[1024];
    const char *before = chunk == 0 ? head : "", *after = "";
    if (chunk == CHUNKS - 1) {
        snprintf(
            data, sizeof data,
            "data: "
            "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
            "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":48,\"total_tokens\":58}}\n\n"
            "data: [DONE]\n\n");
        after = "0\r\n\r\n";
    } else {
        snprintf(
            data, sizeof data,
            "data: "
            "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
            "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
            "\"content\":\"tok%d \"},\"finish_reason\":null}]}\n\n",
            chunk);
    }
    int n = snprintf(out, sizeof out, "%s%zx\r\n%s\r\n%s", before, strlen(data), data, after);
    return put(c, out, (size_t)n);
}

static int put_next(struct upstream *u, struct conn *c, int what) {
    if (what == ANSWER) return put(c, u->answer, u->answer_bytes);
    if (put_chunk(c, what) != 0) return -1;
    if (what + 1 < CHUNKS && !c->is_held) queue(u, c, what + 1);
    return 0;
}

static int answer(struct upstream *u, struct conn *c, const char *body, size_t n) {
    c->is_held = memmem(body, n, "\"model\":\"bench-hold\"", 20) != NULL;
    int what = memmem(body, n < 256 ? n : 256, "\"stream\":true", 13) != NULL ? 0 : ANSWER;
    if (!u->is_late) return put_next(u, c, what);
    queue(u, c, what);
    return 0;
}

/* The whole request's length, 0 while its head or body is still coming, -1 when it cannot be served. */
static long long request_bytes(const struct conn *c, size_t *head_bytes) {
    const char *end = memmem(c->bytes, c->have, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    *head_bytes = (size_t)(end - c->bytes) + 4;
    for (const char *line = c->bytes; line < end; line = strchr(line, '\n') + 1) {
        if (strncasecmp(line, "content-length:", 15) != 0) continue;
        long body = strtol(line + 15, NULL, 10);
        if (body < 0 || body > REQUEST_MAX / 2) return -1;
        return *head_bytes + (size_t)body <= c->have ? (long long)*head_bytes + body : 0;
    }
    return -1;
}

static int on_readable(struct upstream *u, struct conn *c) {
    if (c->room - c->have < 4096) {
        if (c->room >= REQUEST_MAX) return -1;
        size_t room = c->room == 0 ? 8192 : c->room * 2;
        char *bytes = realloc(c->bytes, room);
        if (bytes == NULL) return -1;
        c->bytes = bytes;
        c->room = room;
    }
    ssize_t n = recv(c->fd, c->bytes + c->have, c->room - c->have - 1, 0);
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    c->have += (size_t)n;
    c->bytes[c->have] = '\0';
    while (c->have > 0) {
        size_t head = 0;
        long long whole = request_bytes(c, &head);
        if (whole <= 0) return (int)whole;
        if (answer(u, c, c->bytes + head, (size_t)whole - head) != 0) return -1;
        c->have -= (size_t)whole;
        memmove(c->bytes, c->bytes + whole, c->have + 1);
    }
    return 0;
}

static void accept_all(struct upstream *u, int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        struct conn *c = calloc(1, sizeof *c);
        if (c == NULL) {
            close(fd);
            return;
        }
        c->fd = fd;
        c->next_out = NOTHING;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        epoll_ctl(u->epoll, EPOLL_CTL_ADD, fd,
                  &(struct epoll_event){ .events = EPOLLIN, .data.ptr = c });
    }
}

static void send_due(struct upstream *u) {
    long long now = now_ms();
    while (u->first != NULL && u->first->due_ms <= now) {
        struct conn *c = u->first;
        int what = c->next_out;
        unqueue(u, c);
        /* The end of its file, or a reset, is reported by epoll, and freed there. */
        if (put_next(u, c, what) != 0) shutdown(c->fd, SHUT_RDWR);
    }
}

static void write_answer(struct upstream *u) {
    char text[241], body[700];
    for (int i = 0; i < 40; i++) memcpy(text + 6 * i, "hello ", 6);
    text[240] = '\0';
    int n = snprintf(
        body, sizeof body,
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":"
        "\"m\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
        "\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":40,\"total_tokens\":50}}",
        text);
    /* White space up to the size the first measurements were made with. */
    while (n < 577) body[n++] = ' ';
    u->answer_bytes = (size_t)snprintf(u->answer, sizeof u->answer,
                                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                       "Content-Length: %d\r\n\r\n%.*s",
                                       n, n, body);
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "late") != 0)) {
        fprintf(stderr, "usage: upstream PORT [late]\n");
        return 2;
    }
    struct upstream u = { .epoll = epoll_create1(0), .is_late = argc == 3 };
    write_answer(&u);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((unsigned short)atoi(argv[1])),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 4096) != 0) {
        perror("upstream: listen");
        return 1;
    }
    epoll_ctl(u.epoll, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){ .events = EPOLLIN, .data.ptr = NULL });
    for (;;) {
        struct epoll_event events[EVENTS];
        long long wait = u.first == NULL ? -1 : u.first->due_ms - now_ms();
        int n = epoll_wait(u.epoll, events, EVENTS, u.first != NULL && wait < 0 ? 0 : (int)wait);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == NULL)
                accept_all(&u, listener);
            else if (on_readable(&u, c) != 0)
                drop(&u, c);
        }
        send_due(&u);
    }
}
