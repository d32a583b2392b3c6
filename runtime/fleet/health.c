#include "fleet/health.h"

enum peri_err peri_health_of_status(int status) {
    if (status >= 200 && status < 300) return PERI_OK;
    switch (status) {
    case 429:
    case 529: return PERI_ERATELIMIT;
    case 408:
    case 499: return PERI_EUPSTREAM;
    case 401:
    case 402:
    case 403:
    case 404:
    case 405:
    case 410: return PERI_EAUTH;
    default: return status >= 400 && status < 500 ? PERI_EREJECTED : PERI_EUPSTREAM;
    }
}

bool peri_health_is_overload(enum peri_err err, int status) {
    return err == PERI_ERATELIMIT || (err == PERI_EUPSTREAM && status == 503);
}

bool peri_health_is_retryable(enum peri_err err) {
    switch (err) {
    case PERI_OK:
    case PERI_EREJECTED:
    case PERI_ECANCELED:
    case PERI_EDEADLINE:
    case PERI_ENOMEM:
    case PERI_ESTOPPING:
    case PERI_EPOLICY:
    case PERI_EBUDGET: return false;
    default: return true;
    }
}

#define STRIKES_MAX 3 /* doublings */

/* Only a failed probe makes it longer: many requests that fail at once are one failure. */
static uint64_t longer(struct peri_vitals *v, uint64_t ms, bool is_probe) {
    unsigned strikes = is_probe ? atomic_fetch_add(&v->strikes, 1) + 1 : atomic_load(&v->strikes);
    return ms << (strikes < STRIKES_MAX ? strikes : STRIKES_MAX);
}

void peri_health_failed(const struct peri_provider *p, const struct peri_config *config,
                        enum peri_err err, uint64_t now_ms, uint64_t hint_ms, bool is_probe) {
    switch (err) {
    case PERI_ERATELIMIT:
        peri_vitals_cool(
            p->vitals, err, now_ms,
            hint_ms != 0 ? hint_ms : longer(p->vitals, config->rate_limit_cooldown_ms, is_probe));
        return;
    case PERI_EAUTH: peri_vitals_cool(p->vitals, err, now_ms, config->quarantine_ms); return;
    case PERI_EUPSTREAM:
    case PERI_ECONNECT:
    case PERI_EDNS:
    case PERI_ETLS:
    case PERI_ETIMEOUT:
    case PERI_ESTALL:
    case PERI_ECLOSED:
    case PERI_ETRUNCATED:
    case PERI_EPROTO:
    case PERI_EMALFORMED:
    case PERI_EDENIED:
        peri_vitals_cool(p->vitals, err, now_ms,
                         hint_ms != 0 ? hint_ms
                                      : longer(p->vitals, config->failure_cooldown_ms, is_probe));
        return;
    case PERI_EREJECTED:
    case PERI_EUNFIT:
    case PERI_EEMPTY:
        peri_vitals_well(p->vitals);
        return; /* it answers: that is what a probe asks */
    case PERI_ECANCELED: atomic_fetch_add(&p->vitals->canceled, 1); break;
    default: break;
    }
    if (is_probe) peri_vitals_unknown(p->vitals);
}
