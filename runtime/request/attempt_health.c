/* What an attempt's end means for what it went through: what rests because of it, what is asked again, and the lines that
 * tell the operator so. */
#include "fleet/health.h"
#include "request/attempt.h"

static uint64_t now_ms(const struct peri_attempt *a) {
    return peri_loop_now_ms(a->request->env->loop);
}

/* ---- Lines ---- */

/* What the operator can do about it. Static text, which names nothing of the request. */
static const char *remedy_of(const struct peri_attempt *a, enum peri_err err) {
    if (a->remedy != NULL) return a->remedy;
    switch (a->scope) {
    case PERI_SCOPE_MODEL:
        return err == PERI_ERATELIMIT ? "spread the load over more providers of the model"
                                      : "see that the provider serves the model under this name";
    case PERI_SCOPE_KEY:
        if (err == PERI_ERATELIMIT) return "configure more keys, or spread the load over providers";
        return a->status == 402 || a->status == 429 ? "add credit to the account, or another key"
                                                    : "check the key, and what its account may do";
    case PERI_SCOPE_ENDPOINT: return "see that the provider's 'url' is right up to the version";
    case PERI_SCOPE_PROVIDER:
        if (err == PERI_ERATELIMIT) return "lower 'max_concurrent', or add a provider";
        return a->status == 0 ? "see that it runs and can be reached" : "";
    default: return "";
    }
}

static void put_what(struct peri_log *log, const struct peri_attempt *a, enum peri_scope scope) {
    const struct peri_provider *p = a->candidate.provider;
    peri_log_str(log, "scope", peri_str_of(peri_scope_name(scope)));
    if (scope == PERI_SCOPE_NETWORK)
        peri_log_str(log, "network", p->network);
    else
        peri_log_str(log, "provider", p->id);
    if (scope == PERI_SCOPE_MODEL) peri_log_str(log, "model", peri_attempt_model(a));
    if (scope == PERI_SCOPE_MODEL || scope == PERI_SCOPE_ENDPOINT)
        peri_log_str(log, "endpoint", a->dialect->url_path);
    if (scope == PERI_SCOPE_KEY) peri_log_int(log, "key", (int64_t)a->circuit.key + 1);
}

static void log_rest(const struct peri_attempt *a, enum peri_scope scope, enum peri_err err) {
    struct peri_log *log = &a->request->env->logs.of[PERI_COMPONENT_ATTEMPT];
    uint64_t wait_ms = 0;
    if (!peri_log_begin(log, PERI_LOG_WARN, "not asked for a while")) return;
    put_what(log, a, scope);
    peri_breaker_admits(a->circuit.at[scope], now_ms(a), &wait_ms);
    peri_log_str(log, "error", peri_str_of(peri_err_name(err)));
    if (a->status != 0) peri_log_int(log, "status", a->status);
    peri_log_int(log, "rest_ms", (int64_t)wait_ms);
    const char *remedy = remedy_of(a, err);
    if (*remedy != '\0') peri_log_str(log, "remedy", peri_str_of(remedy));
    peri_log_end(log);
}

static void log_return(const struct peri_attempt *a, enum peri_scope scope) {
    struct peri_log *log = &a->request->env->logs.of[PERI_COMPONENT_ATTEMPT];
    if (!peri_log_begin(log, PERI_LOG_INFO, "asked again")) return;
    put_what(log, a, scope);
    peri_log_end(log);
}

static void note_success(struct peri_attempt *a) {
    unsigned closed = peri_circuit_succeed(&a->circuit, a->request->config, now_ms(a));
    for (enum peri_scope s = PERI_SCOPE_MODEL; closed != 0 && s < PERI_SCOPE_COUNT; s++)
        if ((closed & 1u << s) != 0) log_return(a, s);
}

/* ---- Results ---- */

void peri_attempt_went_well(struct peri_attempt *a) {
    atomic_fetch_add_explicit(&a->candidate.provider->vitals->success, 1, memory_order_relaxed);
    note_success(a);
}

void peri_attempt_left_open(struct peri_attempt *a) { peri_circuit_cancel(&a->circuit); }

/* A request that is tried again where it failed before says the same thing twice. */
static bool has_failed_here(const struct peri_attempt *a) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &a->request->attempts) {
        const struct peri_attempt *other = peri_list_entry(at, struct peri_attempt, link);
        if (other != a && other->candidate.provider == a->candidate.provider &&
            peri_attempt_is_over(other) && other->scope == a->scope)
            return true;
    }
    return false;
}

static void count_result(struct peri_vitals *v, enum peri_err err, enum peri_scope scope) {
    if (err == PERI_ERATELIMIT)
        atomic_fetch_add(&v->rate_limited, 1);
    else if (err == PERI_ECANCELED)
        atomic_fetch_add(&v->canceled, 1);
    else if (scope != PERI_SCOPE_REQUEST)
        atomic_fetch_add(&v->failed, 1);
}

/* The provider was asked in spite of its word, and said it again. It may have meant that model alone, so that model is not
 * asked for in spite of it for a while, and others are. */
static void pause_model(struct peri_attempt *a, const struct peri_breaker_failure *f) {
    peri_circuit_add_model(&a->circuit, a->candidate.provider, peri_attempt_model(a),
                           a->dialect->id);
    struct peri_breaker *b = a->circuit.at[PERI_SCOPE_MODEL];
    if (b == NULL) return;
    peri_breaker_open(b, f, 0);
    peri_breaker_pause(b, f->now_ms);
}

/* The provider has another key: this request may ask it again, once a key. */
static void offer_again(const struct peri_attempt *a) {
    const struct peri_provider *p = a->candidate.provider;
    bool *tried = a->request->tried;
    size_t asked = 0;
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &a->request->attempts)
        asked += peri_list_entry(at, struct peri_attempt, link)->candidate.provider == p;
    if (tried != NULL && asked < p->key_count) tried[p->index] = false;
}

void peri_attempt_went_wrong(struct peri_attempt *a, enum peri_err err) {
    const struct peri_request *r = a->request;
    if (!a->is_judged) a->scope = peri_health_scope(err);
    count_result(a->candidate.provider->vitals, err, a->scope);
    if (a->scope == PERI_SCOPE_REQUEST) {
        bool has_answered = err == PERI_EREJECTED || err == PERI_EUNFIT || err == PERI_EEMPTY;
        if (has_answered) note_success(a); /* that is what a trial asks */
        peri_circuit_cancel(&a->circuit);
        return;
    }
    struct peri_breaker_failure f = { err, a->status, now_ms(a), a->hint_ms, false };
    bool is_trial = (a->circuit.trials & 1u << a->scope) != 0;
    bool is_said = a->hint_ms == 0 && a->rest_ms == 0 && !is_trial && has_failed_here(a);
    /* While a network computes proofs its hosts fail more than they are to blame for. */
    if (a->is_excused || is_said || (a->candidate.is_reduced && a->scope == PERI_SCOPE_PROVIDER)) {
        peri_circuit_cancel(&a->circuit);
        return;
    }
    if (a->scope == PERI_SCOPE_MODEL)
        peri_circuit_add_model(&a->circuit, a->candidate.provider, peri_attempt_model(a),
                               a->dialect->id);
    if (a->candidate.is_last && a->hint_ms > 0) pause_model(a, &f);
    if (peri_circuit_fail(&a->circuit, r->config, a->scope, &f, a->rest_ms))
        log_rest(a, a->scope, err);
    if (a->scope == PERI_SCOPE_KEY) offer_again(a);
}
