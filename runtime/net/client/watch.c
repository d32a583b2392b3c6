/* The sockets libcurl opens, on the loop.
 *
 * A connection keeps its watcher while it is idle: the next request on it then needs no epoll_ctl at all (2 µs
 * saved per request). An idle connection that becomes readable has been closed by the provider, or
 * carries bytes nobody asked for; either way it is made unusable, because libcurl 7.88 would take those bytes
 * as the start of the next answer.
 */
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/client/client_parts.h"

struct peri_watcher {
    uv_poll_t poll;
    struct peri_client *client;
    struct peri_multi *multi;
    curl_socket_t fd;
    struct peri_call
        *call;         /* the last that waited for it, until that call ends or waits for another */
    int wanted, armed; /* uv events: what libcurl waits for, what is watched */
    bool is_kept;      /* an established connection: peri_watch_close will be told of its end */
    bool is_tls, is_dead;
};

static void on_closed(uv_handle_t *handle) { peri_free(handle->data); }

static struct peri_watcher *watcher_of(const struct peri_client *c, curl_socket_t fd) {
    return fd >= 0 && (size_t)fd < c->watcher_room ? c->watchers[fd] : NULL;
}

static void forget(struct peri_watcher *w) {
    w->client->watchers[w->fd] = NULL;
    if (w->is_kept) {
        w->client->sockets--;
        w->multi->sockets--;
        if (w->is_dead) w->multi->dead_sockets--;
    }
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

static bool make_room(struct peri_client *c, curl_socket_t fd) {
    if ((size_t)fd < c->watcher_room) return true;
    size_t room = c->watcher_room == 0 ? 64 : c->watcher_room;
    while (room <= (size_t)fd) room *= 2;
    struct peri_watcher **watchers = peri_realloc(c->watchers, room * sizeof *watchers);
    if (watchers == NULL) return false;
    memset(watchers + c->watcher_room, 0, (room - c->watcher_room) * sizeof *watchers);
    c->watchers = watchers;
    c->watcher_room = room;
    return true;
}

static struct peri_watcher *watch(struct peri_multi *m, curl_socket_t fd) {
    struct peri_client *c = m->client;
    if (!make_room(c, fd)) return NULL;
    struct peri_watcher *w = peri_calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    if (uv_poll_init(peri_loop_uv(c->loop), &w->poll, fd) != 0) {
        peri_free(w);
        return NULL;
    }
    w->poll.data = w;
    w->client = c;
    w->multi = m;
    w->fd = fd;
    c->watchers[fd] = w;
    return w;
}

static void on_idle_event(struct peri_watcher *w) {
    char waste[4096];
    ssize_t n = recv(w->fd, waste, 1, MSG_PEEK | MSG_DONTWAIT);
    /* TLS may have a session ticket to say; libcurl reads it with the next request. */
    if (n > 0 && w->is_tls) return;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) {
        shutdown(w->fd, SHUT_RDWR);
        while (recv(w->fd, waste, sizeof waste, MSG_DONTWAIT) > 0) {}
    }
    w->is_dead = true;
    struct peri_multi *m = w->multi;
    m->dead_sockets++;
    if (m->busy == 0 && m->dead_sockets == m->sockets) peri_multi_close(m);
}

static void on_event(uv_poll_t *poll, int status, int events) {
    struct peri_watcher *w = poll->data; /* outlives a close until the turn's end */
    if (status < 0) w->armed = 0;        /* libuv has stopped watching */
    if (w->wanted == 0) {
        uv_poll_stop(&w->poll);
        w->armed = 0;
        /* A paused transfer's socket is not waited for either, and must be left alone. */
        if (w->is_kept && w->call == NULL && !w->is_dead) on_idle_event(w);
        return;
    }
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    peri_client_act(w->multi, w->fd, flags);
    if (!uv_is_closing((uv_handle_t *)&w->poll) && w->wanted != 0 && w->armed == 0 &&
        uv_poll_start(&w->poll, w->wanted, on_event) == 0)
        w->armed = w->wanted; /* libcurl was not content with the error and waits on */
}

static void note_user(struct peri_watcher *w, CURL *easy) {
    struct peri_easy *e = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &e);
    if (e == NULL || e->call == NULL) return;
    if (e->call->fd != w->fd) peri_watch_release(e->call);
    w->call = e->call;
    e->call->fd = w->fd;
    e->call->is_cut = false;
    if (e->call->is_connected) peri_watch_keep(e->call);
}

void peri_watch_keep(const struct peri_call *call) {
    struct peri_watcher *w = watcher_of(call->client, call->fd);
    if (w == NULL || w->call != call || w->is_kept) return;
    w->is_kept = true;
    w->is_tls = peri_url_is_tls(call->url);
    w->multi->sockets++;
    w->client->sockets++;
}

void peri_watch_release(struct peri_call *call) {
    struct peri_watcher *w = watcher_of(call->client, call->fd);
    if (w != NULL && w->call == call) w->call = NULL;
}

/* The transfer ends with its own error in the next turn; nothing else in the multi is touched. */
static int out_of_memory(CURL *easy) {
    struct peri_easy *e = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &e);
    if (e != NULL && e->call != NULL) peri_call_out_of_memory(e->call);
    return 0;
}

int peri_watch_socket(CURL *easy, curl_socket_t fd, int what, void *multi, void *watcher) {
    struct peri_multi *m = multi;
    struct peri_watcher *w = watcher_of(m->client, fd);
    (void)watcher;
    if (what == CURL_POLL_REMOVE) {
        if (w == NULL) return 0;
        w->wanted = 0;
        /* libcurl 7.88 closes a socket that is still connecting without a word to peri_watch_close. */
        if (!w->is_kept) forget(w);
        return 0;
    }
    if (w == NULL && (w = watch(m, fd)) == NULL) return out_of_memory(easy);
    note_user(w, easy);
    w->wanted =
        ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    if (w->wanted == w->armed) return 0;
    if (uv_poll_start(&w->poll, w->wanted, on_event) == 0) w->armed = w->wanted;
    return 0;
}

static curl_socket_t open_socket(struct peri_client *c, struct curl_sockaddr *address) {
    if (c->options.dial == NULL)
        return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                      address->protocol);
    /* libcurl connects to what stands in `address` after this. That the socket is connected already
     * (CURL_SOCKOPT_ALREADY_CONNECTED) is something 7.88 does not listen to. */
    socklen_t length = address->addrlen;
    errno = 0;
    curl_socket_t fd = c->options.dial(c->options.arg, &address->addr, &length);
    address->family = address->addr.sa_family;
    address->addrlen = length;
    return fd;
}

curl_socket_t peri_watch_open(void *easy, curlsocktype purpose, struct curl_sockaddr *address) {
    struct peri_call *call = ((struct peri_easy *)easy)->call;
    struct peri_client *c = call->client;
    (void)purpose;
    if (c->options.may_connect != NULL &&
        !c->options.may_connect(c->options.arg, &address->addr, call->is_restricted)) {
        call->was_refused = true;
        return CURL_SOCKET_BAD;
    }
    curl_socket_t fd = open_socket(c, address);
    call->os_error = fd < 0 ? errno : 0;
    if (fd >= 0) call->opened_socket = true;
    if (call->is_connected) peri_call_on_reconnect(call);
    return fd;
}

int peri_watch_close(void *client, curl_socket_t fd) {
    struct peri_watcher *w = watcher_of(client, fd);
    if (w != NULL && w->call != NULL) w->call->is_cut = true;
    if (w != NULL) forget(w);
    return close(fd);
}
