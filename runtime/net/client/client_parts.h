/* For the client's own files only: what client.c (calls), call_head.c and call_request.c (what they ask), wire.c and
 * origin.c (plain connections), curl_call.c, multi.c and watch.c (libcurl, its handles, its sockets) share.
 *
 * The one idea: no callback of ours runs inside libcurl. libcurl's callbacks only note what came (in the call's
 * `head` and `body`) and put the call on the client's `ready` list; peri_client_pump, always entered from the
 * loop, hands it to the owner. So an owner may start, cancel, pause and resume any call from inside any
 * callback, and every one of those takes effect before it returns.
 */
#ifndef PERI_NET_CLIENT_CLIENT_PARTS_H
#define PERI_NET_CLIENT_CLIENT_PARTS_H

#include <curl/curl.h>
#include <errno.h>

#include "net/client/answer_head.h"
#include "net/client/client.h"
#include "net/loop_uv.h"
#include "net/url_curl.h"

#define PERI_CLIENT_ORIGINS 64
#define PERI_CLIENT_BUFFERS 4 /* body buffers kept for the next call that needs one */

struct peri_watcher;
struct peri_wire;
struct peri_origin;

/* Where the system's certificate authorities are: a directory that is looked into when one is needed, or else
 * one file that is read for every connection. */
struct peri_authorities {
    const char *file, *dir; /* libcurl's own static text, or NULL */
};

/* One easy handle with what was last set on it, so that a request sets only what differs. */
struct peri_easy {
    CURL *easy;
    struct peri_call *call; /* NULL while in the pool */
    struct peri_easy *next; /* in the pool */
    enum { PERI_EASY_NONE, PERI_EASY_GET, PERI_EASY_POST, PERI_EASY_HEAD } shape;
    bool has_custom_method, is_insecure, use_http2, has_ca_file, has_unix_path, forbids_reuse,
        has_target;
    size_t read_bytes;
    char why[CURL_ERROR_SIZE];
};

struct peri_multi {
    struct peri_client *client;
    CURLM *handle;          /* NULL until used, and again after it was closed to give memory back */
    size_t place;           /* in client->multis */
    struct peri_list calls; /* with a transfer in this multi */
    size_t busy;            /* how many those are */
    int running;            /* those that libcurl has not reported as finished */
    size_t sockets, dead_sockets;
    bool is_restricted;
    struct peri_timer deadline;
    struct peri_list due; /* in client->due when libcurl wants to be called at once */
};

struct peri_client {
    struct peri_loop *loop;
    struct peri_client_options options;
    CURLSH *share; /* names and TLS sessions, over all multis; NULL: libcurl was not needed yet */
    struct peri_multi **multis;
    size_t multi_count, lowest_free;
    struct peri_easy *pool;
    size_t pool_count;
    struct peri_watcher **watchers; /* by descriptor */
    size_t watcher_room, sockets;
    size_t open_calls;
    struct peri_list ready, due;
    uv_idle_t *soon; /* runs while something is ready or due */
    struct peri_authorities authorities;
    bool may_use_target; /* peri_call_target_is_safe */
    bool may_reuse_handles;
    bool is_soon, is_pumping;
    unsigned depth;            /* callbacks of owners under way */
    bool is_doomed;            /* freed by one of them: goes when the last has returned */
    struct peri_call *current; /* whose callback runs; NULL once it was cancelled */
    struct peri_buf buffers[PERI_CLIENT_BUFFERS];
    size_t buffer_count;
    struct peri_header *headers; /* the views of one on_head */
    size_t header_room;
    /* wire.c, origin.c */
    struct peri_origin *origins[PERI_CLIENT_ORIGINS]; /* by hash of the authority */
    size_t origin_count;
    struct peri_list aged; /* kept wires, idle longest first */
    size_t aged_count;
    char *scratch; /* what every wire reads into; made when first needed */
};

struct peri_call {
    struct peri_client *client;
    struct peri_multi *multi;
    struct peri_easy *easy;
    struct peri_list in_multi, ready;
    const struct peri_call_ops *ops;
    void *arg;
    struct peri_url *url;
    struct peri_timer phase, total;
    uint64_t began_ns, connect_ms, connect_due_ms, first_byte_due_ms, idle_ms;
    size_t head_max;
    struct peri_answer_head head;
    struct peri_buf body;  /* came and not handed over */
    enum peri_err verdict; /* ours, before libcurl's */
    const char *why;
    CURLcode code;
    int os_error;               /* of a connection that was not made; 0: not known */
    curl_socket_t fd;           /* libcurl last waited for */
    struct peri_origin *origin; /* NULL: only libcurl goes there */
    struct peri_wire *wire;     /* NULL: by libcurl, or not connected */
    struct peri_str request_body;
    bool is_restricted, is_head;
    bool has_head, gave_head, is_paused, is_over; /* is_over: nothing more will come */
    bool opened_socket, is_connected, was_refused, was_sent;
    bool is_cut; /* libcurl has closed its socket */
    uint64_t connect_us, first_byte_us, sent_bytes, received_bytes;
    /* The request's head, behind the call in the same piece of memory: call_head.c tells of the three forms. */
    struct peri_str text;     /* for a wire: all of it */
    struct curl_slist *lines; /* for libcurl */
    char *target;             /* NULL: `lines` hold all */
    size_t extra_bytes;       /* of that memory */
};

/* multi.c */
/* Libcurl is set up when the first call needs it: 2.4 MB and 0.6 ms that plain HTTP has no use for.
 *   gives   PERI_OK · PERI_ENOMEM */
enum peri_err peri_curl_open(struct peri_client *c);
void peri_curl_close(struct peri_client *c);
enum peri_err peri_easy_take(struct peri_easy **out, struct peri_client *c);
void peri_easy_give(struct peri_client *c, struct peri_easy *e);
void peri_easy_free(struct peri_easy *e);
/* A multi with room, the first one; opened when it must be. NULL with err PERI_EFULL or PERI_ENOMEM. */
struct peri_multi *peri_multi_with_room(enum peri_err *err, struct peri_client *c,
                                        bool is_restricted);
enum peri_err peri_multi_add(struct peri_multi *m, struct peri_call *call);
/* The call's transfer leaves libcurl; an unfinished one takes its socket along. */
void peri_multi_remove(struct peri_call *call);
/* Let libcurl act on a socket (or CURL_SOCKET_TIMEOUT) and note which transfers it finished. */
void peri_multi_act(struct peri_multi *m, curl_socket_t fd, int flags);
void peri_multi_close(struct peri_multi *m);
void peri_multi_free(struct peri_multi *m);

/* authorities.c */
struct peri_authorities peri_authorities_find(void);

/* call_head.c */
/* Cleared, with the request's head; NULL when memory ran out. */
struct peri_call *peri_call_alloc(const struct peri_client *c, const struct peri_call_spec *spec,
                                  bool is_plain);
/* Whether this libcurl passes a request target on as it is. Costs a little. */
bool peri_call_target_is_safe(void);

/* call_request.c */
bool peri_call_spec_is_valid(const struct peri_call_spec *spec);
bool peri_call_sends_body(const struct peri_call_spec *spec);
/* Take a handle and set on it what this call needs. */
enum peri_err peri_call_prepare(struct peri_call *call, const struct peri_call_spec *spec);

/* watch.c */
int peri_watch_socket(CURL *easy, curl_socket_t fd, int what, void *multi, void *watcher);
curl_socket_t peri_watch_open(void *easy, curlsocktype purpose, struct curl_sockaddr *address);
/* The call's connection stands: its watcher stays until it is closed. */
void peri_watch_keep(const struct peri_call *call);
/* The call no longer uses the socket it last waited for. */
void peri_watch_release(struct peri_call *call);
int peri_watch_close(void *client, curl_socket_t fd);

/* curl_call.c */
size_t peri_call_on_line(char *p, size_t size, size_t n, void *easy);
size_t peri_call_on_bytes(char *p, size_t size, size_t n, void *easy);
/* A kept connection was dead: libcurl makes another one. */
void peri_call_on_reconnect(struct peri_call *call);
int peri_call_on_connected(void *easy, char *peer, char *own, int peer_port, int own_port);
/* libcurl has finished the call's transfer. */
void peri_call_on_finished(struct peri_call *call, CURLcode code);
/* How it ended; what libcurl knows about it goes into the call. */
enum peri_err peri_call_curl_report(struct peri_call *call);

/* client.c: notes of a transport. Each that gives a bool gives false when memory ran out. */
void peri_call_ready(struct peri_call *call);
/* The call ends with PERI_ENOMEM in the next turn. */
void peri_call_out_of_memory(struct peri_call *call);
bool peri_call_connected(struct peri_call *call);
/* A kept connection was dead; another one is being made. */
bool peri_call_disconnected(struct peri_call *call);
/* The head is whole: from here on silence is a stall. */
bool peri_call_begin_body(struct peri_call *call);
/* Bytes of the body.
 *   gives   PERI_OK · PERI_ENOMEM · PERI_ETOOBIG the owner has not seen the last 8 MiB */
enum peri_err peri_call_take(struct peri_call *call, struct peri_str bytes);
void peri_client_soon(struct peri_client *c);
/* From the loop: let libcurl act, then hand over what that brought. */
void peri_client_act(struct peri_multi *m, curl_socket_t fd, int flags);
void peri_client_pump(struct peri_client *c);

/* A connection that was not made: our own lack of descriptors or memory says nothing about the other side. */
static inline enum peri_err peri_call_unconnected(int os_error) {
    bool is_ours =
        os_error == EMFILE || os_error == ENFILE || os_error == ENOBUFS || os_error == ENOMEM;
    return is_ours ? PERI_EBUSY : PERI_ECONNECT;
}
#define PERI_CALL_NO_ROOM "the router has nothing left for another connection"

#endif
