/* What libcurl tells of a call: it is noted, and handed over by peri_client_pump. */
#include "net/client/client_parts.h"
#include "net/client/origin.h"

static size_t refuse(struct peri_call *call, enum peri_err err, const char *why) {
    call->verdict = err;
    call->why = why;
    return 0; /* fewer bytes than were given: libcurl ends the transfer and closes its connection */
}

void peri_call_on_reconnect(struct peri_call *call) {
    call->fd = CURL_SOCKET_BAD;
    if (!peri_call_disconnected(call)) peri_call_out_of_memory(call);
}

int peri_call_on_connected(void *easy, char *peer, char *own, int peer_port, int own_port) {
    struct peri_call *call = ((struct peri_easy *)easy)->call;
    (void)own;
    (void)own_port;
    if (call->is_connected) return CURL_PREREQFUNC_OK;
    if (!peri_call_connected(call)) return CURL_PREREQFUNC_ABORT;
    peri_watch_keep(call);
    if (call->origin != NULL)
        peri_origin_learn(call->client, call->origin, peer, (unsigned)peer_port);
    return CURL_PREREQFUNC_OK;
}

/* An answer that has no body may be followed by one all the same, and libcurl would not tell. And where the next calls
 * go over wires, a connection of libcurl's would only be kept to be asked for the address when that may have changed. */
static void settle_reuse(struct peri_call *call) {
    struct peri_client *c = call->client;
    struct peri_easy *e = call->easy;
    int status = call->head.status;
    bool is_learnt = call->origin != NULL && peri_origin_is_known(c, call->origin);
    bool forbid = is_learnt || status == 204 || status == 304 || e->shape == PERI_EASY_HEAD ||
                  c->sockets > c->open_calls + c->options.idle_connections;
    if (forbid == e->forbids_reuse) return;
    curl_easy_setopt(e->easy, CURLOPT_FORBID_REUSE, (long)forbid);
    e->forbids_reuse = forbid;
}

size_t peri_call_on_line(char *p, size_t size, size_t n, void *easy) {
    struct peri_call *call = ((struct peri_easy *)easy)->call;
    n *= size;
    enum peri_err err =
        peri_answer_head_line(&call->head, (struct peri_str){ p, n }, call->head_max);
    if (err != PERI_OK) return refuse(call, err, call->head.why);
    if (!call->head.is_complete || call->has_head) return n;
    if (!peri_call_begin_body(call)) return refuse(call, PERI_ENOMEM, NULL);
    settle_reuse(call);
    return n;
}

size_t peri_call_on_bytes(char *p, size_t size, size_t n, void *easy) {
    struct peri_call *call = ((struct peri_easy *)easy)->call;
    n *= size;
    if (call->is_paused) return CURL_WRITEFUNC_PAUSE;
    enum peri_err err = peri_call_take(call, (struct peri_str){ p, n });
    return err == PERI_OK ? n : refuse(call, err, "too much came at once");
}

/* libcurl tells nobody when a provider sent more than it announced: it drops the rest and closes a connection
 * that was to be kept. So that is what we look for. An answer that came before the whole request was sent also
 * ends its connection, and rightly. */
static bool came_with_more(const struct peri_call *call) {
    const struct peri_answer_head *head = &call->head;
    curl_off_t sent = 0;
    if (!head->is_http1_1 || head->is_closing || call->easy->forbids_reuse || !call->is_cut)
        return false;
    if (!head->has_length && !head->is_chunked) return false;
    curl_easy_getinfo(call->easy->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return (uint64_t)sent >= call->request_body.n;
}

/* libcurl 7.88 gives up on a line of more than 100 KB as if memory had run out. */
static bool is_in_head(const struct peri_call *call) {
    curl_off_t first_byte_us = 0;
    curl_easy_getinfo(call->easy->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
    return !call->has_head && first_byte_us > 0;
}

void peri_call_on_finished(struct peri_call *call, CURLcode code) {
    call->is_over = true;
    call->code = code;
    if (code == CURLE_OK && !call->has_head)
        refuse(call, PERI_ECLOSED, "the connection ended before the answer's head");
    else if (code == CURLE_OUT_OF_MEMORY && is_in_head(call))
        refuse(call, PERI_ETOOBIG, "a line of the answer's head is larger than 100 KB");
    else if (code == CURLE_OK && came_with_more(call))
        refuse(call, PERI_EPROTO, "the provider sent more than it announced");
    peri_call_ready(call);
}

static enum peri_err err_of(const struct peri_call *call) {
    bool has_begun = call->has_head;
    switch (call->code) {
    case CURLE_OK: return PERI_OK;
    case CURLE_COULDNT_RESOLVE_HOST: /* the name's fault, unless nobody could be set to look for it */
        return strstr(call->easy->why, "thread failed to start") != NULL ? PERI_EBUSY : PERI_EDNS;
    case CURLE_COULDNT_CONNECT:
        return call->was_refused ? PERI_EDENIED : peri_call_unconnected(call->os_error);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_USE_SSL_FAILED: return PERI_ETLS;
    case CURLE_OPERATION_TIMEDOUT: return PERI_ETIMEOUT;
    case CURLE_PARTIAL_FILE: return PERI_ETRUNCATED;
    case CURLE_HTTP2_STREAM:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR: return has_begun ? PERI_ETRUNCATED : PERI_ECLOSED;
    case CURLE_RECV_ERROR: /* of the socket, and of the chunk reader */
        if (strstr(call->easy->why, "chunked-encoding") != NULL) return PERI_EPROTO;
        return has_begun ? PERI_ETRUNCATED : PERI_ECLOSED;
    case CURLE_OUT_OF_MEMORY: return PERI_ENOMEM;
    default: return PERI_EPROTO;
    }
}

enum peri_err peri_call_curl_report(struct peri_call *call) {
    long request_bytes = 0, os_error = 0;
    curl_off_t sent = 0;
    CURL *h = call->easy->easy;
    enum peri_err err = call->verdict != PERI_OK ? call->verdict : err_of(call);
    curl_easy_getinfo(h, CURLINFO_REQUEST_SIZE, &request_bytes);
    curl_easy_getinfo(h, CURLINFO_SIZE_UPLOAD_T, &sent);
    call->sent_bytes = (uint64_t)sent;
    call->was_sent = request_bytes > 0;
    if (err == PERI_ECONNECT) {
        curl_easy_getinfo(h, CURLINFO_OS_ERRNO, &os_error);
        call->os_error = (int)os_error;
    } else if (err == PERI_EBUSY) {
        call->why = PERI_CALL_NO_ROOM;
    } else {
        call->os_error = 0;
    }
    if (err != PERI_OK && call->why == NULL && call->easy->why[0] != '\0')
        call->why = call->easy->why;
    return err;
}
