/* What a refusal is about, and what follows from it. */
#include "request/attempt.h"

#include "dialect/upstream_error.h"
#include "fleet/health.h"
#include "fleet/network.h"

#define MODEL_MISSES_MAX 10 /* in a row: a host that has nothing it lists is set aside */

/* What we know of a network is not what its hosts go by: it is looked at anew, once for a storm of such answers. */
static void look_again(struct peri_attempt *a) {
    struct peri_request_env *env = a->request->env;
    struct peri_network *n = a->candidate.provider->found_by;
    if (n == NULL || !n->ops->may_refresh(n, peri_loop_now_ms(env->loop))) return;
    enum peri_err err = env->ops->refresh_networks(env);
    (void)err; /* out of memory, or stopping: the interval brings the next look */
}

/* The host is listed with a model it does not have: for good, or while its machines are elsewhere (503). */
static void drop_model(struct peri_attempt *a) {
    const struct peri_request *r = a->request;
    uint64_t ms = a->status >= 500 ? r->config->failure_cooldown_ms : r->config->quarantine_ms;
    peri_vitals_lack(a->candidate.provider->vitals, peri_attempt_model(a),
                     peri_loop_now_ms(r->env->loop), ms);
    look_again(a);
}

/* What a refusal means is in its words more than in its status: a 400 may be our clock, a 500 an empty wallet. The
 * provider's judge reads them. gives the kind of failure; the sentence with the remedy goes to the log, and to the
 * client when nobody else answers. */
static enum peri_err judge_refusal(struct peri_attempt *a) {
    struct peri_request_env *env = a->request->env;
    const struct peri_provider *p = a->candidate.provider;
    enum peri_err err = peri_health_of_status(a->status);
    if (p->judge == NULL) return err;
    struct peri_judgement j =
        p->judge(p, a->wallet, a->status, peri_buf_str(&a->in), peri_loop_now_ms(env->loop));
    switch (j.refusal) {
    case PERI_REFUSAL_OF_STATUS: break;
    case PERI_REFUSAL_OF_REQUEST: return PERI_EREJECTED;
    case PERI_REFUSAL_OF_MOMENT:
        a->is_excused = true;
        err = PERI_EUPSTREAM;
        break;
    case PERI_REFUSAL_OF_LOAD: err = err == PERI_ERATELIMIT ? err : PERI_EUPSTREAM; break;
    case PERI_REFUSAL_OF_HOST: err = PERI_EUPSTREAM; break;
    case PERI_REFUSAL_OF_MODEL:
        /* Its other models are as good as before, and the next list says which those are. */
        a->is_excused = atomic_load(&p->vitals->failures) < MODEL_MISSES_MAX;
        drop_model(a);
        err = PERI_EAUTH;
        break;
    case PERI_REFUSAL_OF_WALLET:
        a->is_excused = true;
        err = PERI_EAUTH;
        break;
    case PERI_REFUSAL_OF_PROVIDER: err = PERI_EAUTH; break;
    }
    if (j.is_outdated) look_again(a);
    if (j.event == NULL) return err;
    a->remedy = j.sentence;
    struct peri_log *log = &env->logs.of[PERI_COMPONENT_ATTEMPT];
    if (peri_log_begin(log, PERI_LOG_WARN, j.event)) {
        peri_log_str(log, "provider", p->id);
        peri_log_int(log, "status", a->status);
        peri_log_str(log, "code", peri_str_of(j.code));
        peri_log_str(log, "action", peri_str_of(j.action));
        peri_log_str(log, "remedy", peri_str_of(j.sentence));
        peri_log_end(log);
    }
    return err;
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

void peri_attempt_end_refusal(struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    enum peri_err err = judge_refusal(a);
    struct peri_upstream_error told;
    struct peri_str secret = { NULL, 0 };
    if (p->has_credential) secret = p->headers[p->header_count - 1].value;
    peri_upstream_error_read(&told, peri_buf_str(&a->in), secret);
    if (err == PERI_EREJECTED && strcmp(told.code, "context_length_exceeded") == 0 &&
        is_for_larger(a))
        err = PERI_EUNFIT;
    peri_attempt_fail(a, err, "answered %d: %.150s", a->status, told.message);
}

void peri_attempt_fail_inside(struct peri_attempt *a, struct peri_str error) {
    struct peri_upstream_error e;
    struct peri_buf body; /* `error` may stand in a->in */
    peri_upstream_error_read(&e, error, a->candidate.provider->credential);
    peri_buf_init(&body, a->request->config->answer_bytes);
    int status = peri_upstream_error_status(&e);
    if (status == 0 || peri_buf_add(&body, error) != PERI_OK) {
        peri_attempt_fail(a, PERI_EUPSTREAM, "sent an error instead of content: %.120s", e.message);
        return;
    }
    peri_buf_done(&a->in);
    a->in = body;
    a->status = status;
    peri_attempt_end_refusal(a);
}
