/* What a refusal is about, and what follows from it. */
#include "request/attempt.h"

#include <stdio.h>

#include "dialect/error_sense.h"
#include "fleet/health.h"
#include "fleet/network.h"
#include "net/retry_after.h"

struct verdict {
    enum peri_err err;
    enum peri_scope scope;
    uint64_t rest_ms; /* at once; 0: after several */
};

/* What we know of a network is not what its hosts go by: it is looked at anew, once for a storm of such answers. */
static void look_again(struct peri_attempt *a) {
    struct peri_request_env *env = a->request->env;
    struct peri_network *n = a->candidate.provider->found_by;
    if (n == NULL || !n->ops->may_refresh(n, peri_loop_now_ms(env->loop))) return;
    enum peri_err err = env->ops->refresh_networks(env);
    (void)err; /* out of memory, or stopping: the interval brings the next look */
}

static bool is_json(struct peri_str body) {
    body = peri_str_trim(body);
    return body.n > 0 && (body.p[0] == '{' || body.p[0] == '[');
}

/* 404 and its like: is it the model that is missing, or everything on that path? A server of this API that speaks JSON
 * knows the path of chats. Where it names no model it may miss something that the request names, a file or an item: then it
 * takes several before the model rests. */
static struct verdict judge_missing(const struct peri_attempt *a,
                                    const struct peri_upstream_error *told,
                                    enum peri_error_sense sense, uint64_t rest_ms) {
    bool is_model = sense == PERI_SENSE_MODEL;
    bool is_named = is_model || peri_error_names(told, peri_attempt_upstream_model(a));
    if (a->status != 405 && sense != PERI_SENSE_PATH)
        is_model |= a->dialect->id == PERI_DIALECT_CHAT && is_json(peri_buf_str(&a->in));
    if (is_model)
        return (struct verdict){ PERI_ENOMODEL, PERI_SCOPE_MODEL, is_named ? rest_ms : 0 };
    return (struct verdict){ PERI_ENOTFOUND, PERI_SCOPE_ENDPOINT, rest_ms };
}

/* Where the status leaves open what it is about, the words tell. They come from a provider that a client may make repeat
 * its own: so only codes make more of a failure than its status does (dialect/error_sense.h). */
static struct verdict judge_words(const struct peri_attempt *a,
                                  const struct peri_upstream_error *told,
                                  enum peri_error_sense sense) {
    struct peri_str model = peri_attempt_upstream_model(a);
    const struct peri_config *config = a->request->config;
    struct peri_blame plain = peri_health_of_status(a->status);
    struct verdict v = { plain.err, plain.scope, 0 };
    bool is_account = sense == PERI_SENSE_KEY || sense == PERI_SENSE_FUNDS;
    if (sense == PERI_SENSE_UNFIT) return (struct verdict){ PERI_EUNFIT, PERI_SCOPE_REQUEST, 0 };
    switch (plain.scope) {
    case PERI_SCOPE_REQUEST:
        if (sense == PERI_SENSE_MODEL)
            v = (struct verdict){ PERI_ENOMODEL, PERI_SCOPE_MODEL, config->quarantine_ms };
        else if (is_account)
            v = (struct verdict){ PERI_EAUTH, PERI_SCOPE_KEY, config->quarantine_ms };
        break;
    case PERI_SCOPE_KEY:
        if (sense == PERI_SENSE_MODEL)
            return (struct verdict){ PERI_ENOMODEL, PERI_SCOPE_MODEL, config->quarantine_ms };
        if (a->status == 403 && (sense == PERI_SENSE_MODERATION || sense == PERI_SENSE_CONTEXT))
            return (struct verdict){ PERI_EREJECTED, PERI_SCOPE_REQUEST, 0 };
        if (sense == PERI_SENSE_PRICE) return (struct verdict){ PERI_EAUTH, PERI_SCOPE_REQUEST, 0 };
        /* A firewall says 403, too, to what one client writes: then it takes several of them. */
        if (a->status != 403 || is_account) v.rest_ms = config->quarantine_ms;
        break;
    case PERI_SCOPE_ENDPOINT: return judge_missing(a, told, sense, config->quarantine_ms);
    case PERI_SCOPE_PROVIDER:
        if (plain.err != PERI_ERATELIMIT) break;
        if (sense == PERI_SENSE_FUNDS)
            v = (struct verdict){ PERI_EAUTH, PERI_SCOPE_KEY, config->quarantine_ms };
        else if (peri_error_names(told, model))
            v.scope = PERI_SCOPE_MODEL;
        else if (a->candidate.provider->key_count > 1)
            v.scope = PERI_SCOPE_KEY;
        break;
    default: break;
    }
    return v;
}

/* One host may lie: on its word alone the network rests for as long as one that failed does, and the host that is asked next
 * confirms it or brings the network back. */
static uint64_t network_rest_ms(const struct peri_attempt *a) {
    const struct peri_config *config = a->request->config;
    const struct peri_breaker *b = a->circuit.at[PERI_SCOPE_NETWORK];
    bool is_confirmed = b != NULL && atomic_load(&b->state) != PERI_BREAKER_CLOSED;
    return is_confirmed ? config->quarantine_ms : config->failure_cooldown_ms;
}

/* This request asks nobody else there, not even as the last one. */
static void leave_network(struct peri_attempt *a) {
    struct peri_request *r = a->request;
    const struct peri_vitals *network = a->candidate.provider->network_vitals;
    for (size_t i = 0; r->tried != NULL && network != NULL && i < r->fleet->provider_count; i++)
        if (r->fleet->providers[i].network_vitals == network) r->tried[i] = true;
}

/* What a network's judge says stands over status and words: a 400 may be our clock, a 500 an empty wallet. */
static void apply_judgement(struct peri_attempt *a, struct verdict *v,
                            const struct peri_judgement *j) {
    const struct peri_config *config = a->request->config;
    struct peri_blame plain = peri_health_of_status(a->status);
    bool is_rate = plain.err == PERI_ERATELIMIT;
    switch (j->refusal) {
    case PERI_REFUSAL_OF_STATUS: break;
    case PERI_REFUSAL_OF_REQUEST:
        *v = (struct verdict){ PERI_EREJECTED, PERI_SCOPE_REQUEST, 0 };
        break;
    case PERI_REFUSAL_OF_MOMENT:
        a->is_excused = true;
        *v = (struct verdict){ PERI_EUPSTREAM, PERI_SCOPE_PROVIDER, 0 };
        break;
    case PERI_REFUSAL_OF_LOAD:
        *v = (struct verdict){ is_rate ? PERI_ERATELIMIT : PERI_EUPSTREAM, PERI_SCOPE_PROVIDER, 0 };
        break;
    case PERI_REFUSAL_OF_HOST:
        *v = (struct verdict){ PERI_EUPSTREAM, PERI_SCOPE_PROVIDER, config->failure_cooldown_ms };
        break;
    case PERI_REFUSAL_OF_MODEL:
        /* The host is listed with a model it does not have: for good, or while its machines are elsewhere (503). */
        v->err = a->status >= 500 ? PERI_EUPSTREAM : PERI_ENOMODEL;
        v->scope = PERI_SCOPE_MODEL;
        v->rest_ms = a->status >= 500 ? config->failure_cooldown_ms : config->quarantine_ms;
        look_again(a);
        break;
    case PERI_REFUSAL_OF_WALLET:
        a->is_excused = true;
        *v = (struct verdict){ PERI_EAUTH, PERI_SCOPE_KEY, 0 };
        break;
    case PERI_REFUSAL_OF_NETWORK:
        *v = (struct verdict){ PERI_EDENIED, PERI_SCOPE_NETWORK, network_rest_ms(a) };
        leave_network(a);
        break;
    case PERI_REFUSAL_OF_PROVIDER:
        *v = (struct verdict){ plain.err == PERI_EAUTH && a->status != 403 ? PERI_EAUTH
                                                                           : PERI_EDENIED,
                               PERI_SCOPE_PROVIDER, config->quarantine_ms };
        /* An endpoint that it does not have is no reason to keep requests for the others away. */
        if (a->status != 410 && plain.scope == PERI_SCOPE_ENDPOINT)
            *v = (struct verdict){ PERI_ENOTFOUND, PERI_SCOPE_ENDPOINT, config->quarantine_ms };
        break;
    }
}

static void log_judgement(struct peri_attempt *a, const struct peri_judgement *j) {
    struct peri_log *log = &a->request->env->logs.of[PERI_COMPONENT_ATTEMPT];
    if (!peri_log_begin(log, PERI_LOG_WARN, j->event)) return;
    const struct peri_network *n = a->candidate.provider->found_by;
    peri_log_str(log, "provider", a->candidate.provider->id);
    if (n != NULL) peri_log_str(log, "account", n->ops->account(n, a->wallet));
    peri_log_int(log, "status", a->status);
    peri_log_str(log, "code", peri_str_of(j->code));
    peri_log_str(log, "action", peri_str_of(j->action));
    peri_log_str(log, "remedy", peri_str_of(j->sentence));
    peri_log_end(log);
}

static struct verdict judge_refusal(struct peri_attempt *a, const struct peri_upstream_error *told,
                                    enum peri_error_sense sense) {
    const struct peri_provider *p = a->candidate.provider;
    struct verdict v = judge_words(a, told, sense);
    if (p->judge == NULL) return v;
    struct peri_judgement j = p->judge(p, a->wallet, a->status, peri_buf_str(&a->in),
                                       peri_loop_now_ms(a->request->env->loop));
    apply_judgement(a, &v, &j);
    if (j.refusal == PERI_REFUSAL_OF_REQUEST) return v;
    if (j.is_outdated) look_again(a);
    if (j.event == NULL) return v;
    a->remedy = j.sentence;
    log_judgement(a, &j);
    return v;
}

static bool reads_more(const struct peri_candidate *c, const struct peri_attempt *a) {
    uint64_t known = a->candidate.model == NULL ? 0 : a->candidate.model->context_tokens;
    return c->model != NULL && c->model->context_tokens > known &&
           c->provider != a->candidate.provider && !a->request->tried[c->provider->index];
}

/* Too long for this provider by its own count: only those that are known to read more are worth asking, and nobody is
 * asked where that is not known. The rest is as good as tried.
 *   gives   false: there are none */
static bool is_for_larger(struct peri_attempt *a) {
    if (a->options.model.n > 0) return false; /* the policy, not the request, chose that model */
    struct peri_candidates all = peri_request_fit(a->request);
    bool is_found = false;
    for (size_t i = 0; i < all.count && !is_found; i++) is_found = reads_more(&all.at[i], a);
    for (size_t i = 0; i < all.count && is_found; i++)
        if (!reads_more(&all.at[i], a)) a->request->tried[all.at[i].provider->index] = true;
    return is_found;
}

static bool is_too_long(const struct peri_attempt *a, enum peri_error_sense sense) {
    return a->status == 413 || sense == PERI_SENSE_CONTEXT || sense == PERI_SENSE_TOO_LARGE;
}

/* A word for programs, which "invalid_request_error" is and a prompt is not. */
static bool is_word(const char *text) {
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.[]-");
    return n > 0 && text[n] == '\0';
}

void peri_attempt_describe(struct peri_attempt *a, const struct peri_upstream_error *told,
                           char out[160]) {
    const char *const said[] = { told->type, told->code, told->param };
    static const char *const names[] = { "type", "code", "param" };
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (is_word(said[i]))
            n += (size_t)snprintf(out + n, 160 - n, "%s%s %.40s", n == 0 ? " (" : ", ", names[i],
                                  said[i]);
    if (n > 0) snprintf(out + n, 160 - n, ")");
    a->words = peri_arena_dup(&a->request->arena, peri_str_of(told->message));
}

/* Nothing there, or elsewhere: where it was looked for shows what is wrong with the provider's `url`. */
static void describe_place(const struct peri_attempt *a, char out[200]) {
    out[0] = '\0';
    if (a->status != 404 && a->status != 405 && (a->status < 300 || a->status > 399)) return;
    const struct peri_provider *p = a->candidate.provider;
    struct peri_str url = peri_url_text(p->urls[a->dialect->id]), to = a->location;
    snprintf(out, 200, " at %.*s%s%.*s", (int)(url.n < 90 ? url.n : 90), url.p,
             to.n > 0 ? ", with the location " : "", (int)(to.n < 60 ? to.n : 60),
             to.n > 0 ? to.p : "");
}

void peri_attempt_end_refusal(struct peri_attempt *a) {
    struct peri_upstream_error told;
    peri_upstream_error_read(&told, peri_buf_str(&a->in), peri_attempt_secret(a));
    enum peri_error_sense sense =
        peri_error_sense(&told, a->status, peri_attempt_upstream_model(a));
    struct verdict v = judge_refusal(a, &told, sense);
    /* Only where waiting is what the status asks for: a client's own words may be among these. */
    if (a->hint_ms == 0 && peri_health_is_overload(v.err, a->status)) {
        uint64_t hint_ms = peri_retry_after_words(peri_buf_str(&a->in), PERI_HINT_MAX_MS);
        if (hint_ms != PERI_RETRY_UNKNOWN) a->hint_ms = hint_ms > 0 ? hint_ms : 1;
    }
    if (v.err == PERI_EREJECTED && is_too_long(a, sense) && is_for_larger(a)) v.err = PERI_EUNFIT;
    a->scope = v.scope;
    a->rest_ms = v.rest_ms;
    a->is_judged = true;
    char said[160], place[200];
    peri_attempt_describe(a, &told, said);
    describe_place(a, place);
    peri_attempt_fail(a, v.err, "answered %d%s%s", a->status, place, said);
}

void peri_attempt_fail_inside(struct peri_attempt *a, struct peri_str error) {
    struct peri_upstream_error e;
    struct peri_buf body; /* `error` may stand in a->in */
    peri_upstream_error_read(&e, error, peri_attempt_secret(a));
    peri_buf_init(&body, a->request->config->answer_bytes);
    int status = peri_upstream_error_status(&e);
    if (status == 0) status = peri_error_sense_status(&e);
    if (status == 0 || peri_buf_add(&body, error) != PERI_OK) {
        char said[160];
        peri_attempt_describe(a, &e, said);
        peri_attempt_fail(a, PERI_EUPSTREAM, "sent an error instead of content%s", said);
        return;
    }
    peri_buf_done(&a->in);
    a->in = body;
    a->status = status;
    peri_attempt_end_refusal(a);
}
