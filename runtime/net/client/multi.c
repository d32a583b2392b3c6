/* libcurl's handles: small multis filled first to last, and the pool of easy handles. */
#include "base/mem.h"
#include "net/client/client_parts.h"

#define POOL_MAX 256

static bool set_up(struct peri_client *c, struct peri_easy *e) {
    CURL *h = e->easy;
    /* One check at the end would do as well for libcurl, but each of these guards a promise of client.h. */
    return curl_easy_setopt(h, CURLOPT_PRIVATE, e) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_ERRORBUFFER, e->why) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_SHARE, c->share) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_PROXY, "") == CURLE_OK &&
           /* Else two environment variables are read for every request. */
           curl_easy_setopt(h, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           /* Our own timers end calls; libcurl's default of 300 s must not come before them. */
           curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, 86400L) == CURLE_OK &&
           /* Without it, removing a transfer waits for its name lookup to end. */
           curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_CAINFO, c->authorities.file) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_CAPATH, c->authorities.dir) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 16384L) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, peri_call_on_line) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_HEADERDATA, e) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, peri_call_on_bytes) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_WRITEDATA, e) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, peri_call_on_connected) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_PREREQDATA, e) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, peri_watch_open) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, e) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_CLOSESOCKETFUNCTION, peri_watch_close) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_CLOSESOCKETDATA, c) == CURLE_OK;
}

enum peri_err peri_easy_take(struct peri_easy **out, struct peri_client *c) {
    struct peri_easy *e = c->pool;
    if (e != NULL) {
        c->pool = e->next;
        c->pool_count--;
    } else {
        e = peri_calloc(1, sizeof *e);
        if (e == NULL) return PERI_ENOMEM;
        e->easy = curl_easy_init();
        if (e->easy == NULL || !set_up(c, e)) {
            peri_easy_free(e);
            return PERI_ENOMEM;
        }
    }
    e->why[0] = '\0';
    *out = e;
    return PERI_OK;
}

/* From 7.83 until 8.1.1 a folded line at the front of a head makes libcurl reallocate a line of the answer before, which
 * it has freed (curl issue 11101): a provider could do with us as it likes. A new handle had no answer before. */
static bool may_reuse_handles(void) {
    unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;
    return version < 0x075300 || version >= 0x080101;
}

void peri_easy_give(struct peri_client *c, struct peri_easy *e) {
    e->call = NULL;
    if (!c->may_reuse_handles || c->pool_count >= POOL_MAX) {
        peri_easy_free(e);
        return;
    }
    e->next = c->pool;
    c->pool = e;
    c->pool_count++;
}

void peri_easy_free(struct peri_easy *e) {
    curl_easy_cleanup(e->easy);
    peri_free(e);
}

/* libcurl names one moment at which it wants to be called; a new one replaces it. */
static int on_deadline_set(CURLM *handle, long ms, void *multi) {
    struct peri_multi *m = multi;
    (void)handle;
    peri_list_remove(&m->due);
    if (ms < 0) {
        peri_timer_stop(&m->deadline);
    } else if (ms == 0 || peri_timer_start(&m->deadline, (uint64_t)ms) != PERI_OK) {
        peri_timer_stop(&m->deadline);
        peri_list_insert(&m->client->due, &m->due);
        peri_client_soon(m->client);
    }
    return 0;
}

static void on_deadline(void *multi) { peri_client_act(multi, CURL_SOCKET_TIMEOUT, 0); }

static enum peri_err open_handle(struct peri_multi *m) {
    m->handle = curl_multi_init();
    if (m->handle == NULL) return PERI_ENOMEM;
    /* libcurl counts the busy ones, too, and would close a connection whose answer has just come. */
    const struct peri_client_options *o = &m->client->options;
    long most = (long)(o->idle_connections + o->transfers_per_multi);
    if (curl_multi_setopt(m->handle, CURLMOPT_SOCKETFUNCTION, peri_watch_socket) == CURLM_OK &&
        curl_multi_setopt(m->handle, CURLMOPT_SOCKETDATA, m) == CURLM_OK &&
        curl_multi_setopt(m->handle, CURLMOPT_TIMERFUNCTION, on_deadline_set) == CURLM_OK &&
        curl_multi_setopt(m->handle, CURLMOPT_TIMERDATA, m) == CURLM_OK &&
        /* The default, four times the handles, closes connections that the next request wants (5 µs). */
        curl_multi_setopt(m->handle, CURLMOPT_MAXCONNECTS, most) == CURLM_OK &&
        /* One stream on an HTTP/2 connection: in libcurl 7.88 a paused one would hold up all the others. */
        curl_multi_setopt(m->handle, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK)
        return PERI_OK;
    peri_multi_close(m);
    return PERI_ENOMEM;
}

static struct peri_multi *new_multi(struct peri_client *c, bool is_restricted) {
    struct peri_multi *m = peri_calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    m->client = c;
    m->is_restricted = is_restricted;
    m->place = c->multi_count;
    peri_list_init(&m->calls);
    peri_list_init(&m->due);
    peri_timer_init(&m->deadline, c->loop, on_deadline, m);
    c->multis[c->multi_count++] = m;
    return m;
}

/* Calls under restriction have multis of their own: a connection is checked when it is opened, so it must not
 * be inherited from a call that was allowed more. */
struct peri_multi *peri_multi_with_room(enum peri_err *err, struct peri_client *c,
                                        bool is_restricted) {
    struct peri_multi *m = NULL;
    size_t most = c->options.transfers_per_multi, i = c->lowest_free;
    while (i < c->multi_count && c->multis[i]->busy >= most) i++;
    c->lowest_free = i;
    for (; i < c->multi_count && m == NULL; i++)
        if (c->multis[i]->busy < most && c->multis[i]->is_restricted == is_restricted)
            m = c->multis[i];
    *err = PERI_EFULL;
    if (m == NULL && c->multi_count == c->options.multis) return NULL;
    *err = PERI_ENOMEM;
    if (m == NULL && (m = new_multi(c, is_restricted)) == NULL) return NULL;
    if (m->handle == NULL && open_handle(m) != PERI_OK) return NULL;
    return m;
}

enum peri_err peri_multi_add(struct peri_multi *m, struct peri_call *call) {
    call->multi = m;
    if (curl_multi_add_handle(m->handle, call->easy->easy) != CURLM_OK) {
        call->multi = NULL;
        return PERI_ENOMEM;
    }
    peri_list_insert(&m->calls, &call->in_multi);
    m->busy++;
    m->running++;
    return PERI_OK;
}

void peri_multi_remove(struct peri_call *call) {
    struct peri_multi *m = call->multi;
    struct peri_client *c = m->client;
    peri_watch_release(call);
    curl_multi_remove_handle(m->handle, call->easy->easy);
    call->multi = NULL;
    peri_list_remove(&call->in_multi);
    m->busy--;
    if (!call->is_over) m->running--;
    if (m->place < c->lowest_free) c->lowest_free = m->place;
    /* After a peak: a multi nobody uses goes with all its idle connections, and its memory. */
    if (m->busy == 0 && c->sockets > c->open_calls + c->options.idle_connections)
        peri_multi_close(m);
}

static void note_finished(struct peri_multi *m) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(m->handle, &left)) != NULL) {
        struct peri_easy *e = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &e);
        m->running--;
        peri_call_on_finished(e->call, message->data.result);
    }
}

void peri_multi_act(struct peri_multi *m, curl_socket_t fd, int flags) {
    int running = 0;
    curl_multi_socket_action(m->handle, fd, flags, &running);
    if (running < m->running) note_finished(m);
}

void peri_multi_close(struct peri_multi *m) {
    if (m->handle == NULL) return;
    curl_multi_cleanup(m->handle);
    m->handle = NULL;
    peri_timer_stop(&m->deadline);
    peri_list_remove(&m->due);
}

void peri_multi_free(struct peri_multi *m) {
    peri_multi_close(m);
    peri_free(m);
}

enum peri_err peri_curl_open(struct peri_client *c) {
    if (c->share != NULL) return PERI_OK;
    /* Counted by libcurl itself, and safe from several threads since 7.84. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return PERI_ENOMEM;
    CURLSH *share = curl_share_init();
    struct peri_multi **multis = peri_calloc(c->options.multis, sizeof(struct peri_multi *));
    if (share == NULL || multis == NULL ||
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK ||
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK) {
        if (share != NULL) curl_share_cleanup(share);
        peri_free(multis);
        curl_global_cleanup();
        return PERI_ENOMEM;
    }
    c->share = share;
    c->multis = multis;
    c->authorities = peri_authorities_find();
    c->may_use_target = peri_call_target_is_safe();
    c->may_reuse_handles = may_reuse_handles();
    return PERI_OK;
}

void peri_curl_close(struct peri_client *c) {
    if (c->share == NULL) return;
    for (size_t i = 0; i < c->multi_count; i++) peri_multi_free(c->multis[i]);
    while (c->pool != NULL) {
        struct peri_easy *next = c->pool->next;
        peri_easy_free(c->pool);
        c->pool = next;
    }
    curl_share_cleanup(c->share);
    peri_free(c->multis);
    peri_free(c->watchers);
    curl_global_cleanup();
}
