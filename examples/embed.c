/* The router inside a host program: on threads of its own, with a policy written in C, and one request made without
 * HTTP in front.
 *
 *     example_embed URL        URL of an OpenAI-compatible provider, such as http://127.0.0.1:8000/v1
 *
 * Prints the streamed answer and how it was routed.
 */
#include <perilune.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A policy: the first candidate that takes requests, else whatever the built-in route finds. */

static void on_tried(void *arg, struct peri_attempt *a, enum peri_err err) {
    struct peri_request *r = arg;
    if (err == PERI_OK)
        peri_request_serve(r, a);
    else
        peri_request_default(r);
}

static void decide(void *self, struct peri_request *r) {
    (void)self;
    struct peri_str id;
    for (size_t i = 0; (id = peri_request_candidate(r, i)).n > 0; i++) {
        struct peri_attempt *a;
        if (!peri_request_admits(r, id)) continue;
        if (peri_request_try(&a, r, id, NULL, on_tried, r) == PERI_OK) return;
    }
    peri_request_default(r);
}

static void done(void *self, struct peri_request *r, const struct peri_outcome *o) {
    (void)self, (void)r;
    printf("\n%d from %.*s by %.*s\n", o->status, (int)o->provider.n, o->provider.p,
           (int)o->route.n, o->route.p);
}

static const struct peri_policy_ops policy = { .size = sizeof policy,
                                               .decide = decide,
                                               .done = done };

/* One request: wait for its end on this thread while it is served on another. */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_over;
    enum peri_err err;
    int status;
};

static void on_head(void *arg, int status, const struct peri_header *headers, size_t count) {
    (void)headers, (void)count;
    ((struct waiting *)arg)->status = status;
}

static bool on_bytes(void *arg, struct peri_str bytes) {
    (void)arg;
    fwrite(bytes.p, 1, bytes.n, stdout);
    return true;
}

static void on_end(void *arg, enum peri_err err) {
    struct waiting *w = arg;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    w->err = err;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s URL\n", argv[0]);
        return 2;
    }
    char config[1024];
    snprintf(config, sizeof config,
             "{\"listen\":\"127.0.0.1:0\",\"providers\":[{\"id\":\"first\",\"url\":\"%s\"}]}",
             argv[1]);
    struct peri_router_options options = {
        .size = sizeof options, .config_json = config, .policy = &policy, .workers = 1
    };
    struct peri_router *router;
    struct peri_fault fault;
    if (peri_router_new(&router, &options, &fault) != PERI_OK ||
        peri_router_start(router, &fault) != PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    printf("also listening on port %u\n", peri_router_port(router, 0));

    static const char body[] =
        "{\"model\":\"any\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    static const struct peri_answer_ops ops = {
        .size = sizeof ops, .head = on_head, .bytes = on_bytes, .end = on_end
    };
    struct waiting w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, PERI_OK, 0 };
    if (peri_router_send(NULL, router, "/v1/chat/completions",
                         (struct peri_str){ body, sizeof body - 1 }, &ops, &w) != PERI_OK)
        return 1;
    pthread_mutex_lock(&w.lock);
    while (!w.is_over) pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);

    peri_router_stop(router);
    peri_router_join(router);
    peri_router_free(router);
    return w.err == PERI_OK && w.status == 200 ? 0 : 1;
}
