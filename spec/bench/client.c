/* What wrk cannot do for the benchmark: hold streams open, ask an exact number of times, and wait for a start.
 *
 *   client hold PORT COUNT     opens COUNT streams, prints "open COUNT" once each has brought its first content,
 *                              and keeps them until its standard input ends
 *   client ask PORT COUNT KIND asks COUNT times in turn over one connection (KIND: 1k, 64k or stream)
 *   client first PORT T0_NS    asks until the first 200 and prints the ms since T0_NS (CLOCK_REALTIME)
 *
 * Everything goes to 127.0.0.1. Exit status 1 with a sentence when an answer is not a 200 or breaks off.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 80 * 1024, ANSWER_MAX = 64 * 1024 };

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("client: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int dial(int port) {
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((unsigned short)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

/* One chat request with `words` of padding in its message. */
static size_t write_request(char *out, const char *model, const char *stream, int words) {
    static char body[REQUEST_MAX];
    size_t n = (size_t)snprintf(
        body, sizeof body,
        "{\"model\":\"%s\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"", model,
        stream);
    for (int i = 0; i < words; i++) {
        memcpy(body + n, "lorem ipsum ", 12);
        n += 12;
    }
    memcpy(body + n, "\"}]}", 4);
    n += 4;
    size_t head =
        (size_t)snprintf(out, REQUEST_MAX,
                         "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                         "Content-Type: application/json\r\nAuthorization: Bearer sk-bench\r\n"
                         "Content-Length: %zu\r\n\r\n",
                         n);
    memcpy(out + head, body, n);
    return head + n;
}

static size_t write_kind(char *out, const char *kind) {
    if (strcmp(kind, "1k") == 0) return write_request(out, "bench", "false", 80);
    if (strcmp(kind, "64k") == 0) return write_request(out, "bench", "false", 5400);
    if (strcmp(kind, "stream") == 0) return write_request(out, "bench", "true", 80);
    fail("no such kind: %s", kind);
    return 0;
}

static void put(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) fail("cannot send: %s", strerror(errno));
        bytes += sent;
        n -= (size_t)sent;
    }
}

/* Whether a whole answer stands in `text`: by its length, or by the last chunk of a chunked one. */
static int is_whole(const char *text, size_t n) {
    const char *body = strstr(text, "\r\n\r\n");
    if (body == NULL) return 0;
    const char *length = strcasestr(text, "\r\ncontent-length:");
    if (length != NULL && length < body)
        return n - (size_t)(body + 4 - text) >= strtoul(length + 17, NULL, 10);
    return n >= 7 && memcmp(text + n - 7, "\r\n0\r\n\r\n", 7) == 0;
}

/* The status of the answer, or -1 when the connection ended first. */
static int take_answer(int fd) {
    static char text[ANSWER_MAX];
    size_t n = 0;
    for (;;) {
        if (n == sizeof text - 1) fail("an answer is larger than %d bytes", ANSWER_MAX);
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0) return -1;
        n += (size_t)got;
        text[n] = '\0';
        if (is_whole(text, n)) return atoi(text + 9);
    }
}

static void ask(int port, long count, const char *kind) {
    static char request[REQUEST_MAX];
    size_t n = write_kind(request, kind);
    int fd = dial(port);
    if (fd < 0) fail("nothing listens on %d", port);
    for (long i = 0; i < count; i++) {
        put(fd, request, n);
        int status = take_answer(fd);
        if (status != 200) fail("answer %ld of %ld had status %d", i + 1, count, status);
    }
    close(fd);
}

static void first(int port, long long t0_ns) {
    static char request[REQUEST_MAX];
    size_t n = write_kind(request, "1k");
    struct timespec t;
    for (int tries = 0; tries < 10000; tries++) {
        int fd = dial(port), status = -1;
        if (fd >= 0) {
            put(fd, request, n);
            status = take_answer(fd);
            close(fd);
        }
        clock_gettime(CLOCK_REALTIME, &t);
        if (status == 200) {
            printf("%.1f\n", (double)((long long)t.tv_sec * 1000000000 + t.tv_nsec - t0_ns) / 1e6);
            return;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    fail("no 200 from %d", port);
}

/* Opening goes in groups, so that no listen queue overflows, and each group is complete before the next. */
static void hold(int port, int count) {
    static char request[REQUEST_MAX];
    size_t n = write_request(request, "bench-hold", "true", 4);
    enum { GROUP = 100 };
    for (int open = 0; open < count;) {
        struct pollfd group[GROUP];
        int size = count - open < GROUP ? count - open : GROUP, waiting = size;
        for (int i = 0; i < size; i++) {
            int fd = dial(port);
            if (fd < 0) fail("stream %d could not connect: %s", open + i, strerror(errno));
            put(fd, request, n);
            group[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
        }
        while (waiting > 0) {
            if (poll(group, (nfds_t)size, 10000) <= 0) fail("no content on %d streams", waiting);
            for (int i = 0; i < size; i++) {
                char text[4096];
                if (group[i].revents == 0) continue;
                ssize_t got = recv(group[i].fd, text, sizeof text - 1, 0);
                if (got <= 0) fail("stream %d ended early", open + i);
                text[got] = '\0';
                if (strstr(text, "tok0") == NULL) continue;
                group[i].fd = -1; /* poll leaves it out; the socket stays open until we end */
                waiting--;
            }
        }
        open += size;
    }
    printf("open %d\n", count);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
}

int main(int argc, char **argv) {
    const char *what = argc > 3 ? argv[1] : "";
    if (strcmp(what, "hold") == 0 && argc == 4) {
        hold(atoi(argv[2]), atoi(argv[3]));
    } else if (strcmp(what, "ask") == 0 && argc == 5) {
        ask(atoi(argv[2]), atol(argv[3]), argv[4]);
    } else if (strcmp(what, "first") == 0 && argc == 4) {
        first(atoi(argv[2]), atoll(argv[3]));
    } else {
        fprintf(stderr, "usage: client hold PORT COUNT | ask PORT COUNT KIND | first PORT T0_NS\n");
        return 2;
    }
    return 0;
}
