#include "fleet/health.h"

struct peri_blame peri_health_of_status(int status) {
    static const struct peri_blame moment = { PERI_EUPSTREAM, PERI_SCOPE_PROVIDER };
    if (status >= 200 && status < 300) return (struct peri_blame){ PERI_OK, PERI_SCOPE_REQUEST };
    switch (status) {
    case 429:
    case 529: return (struct peri_blame){ PERI_ERATELIMIT, PERI_SCOPE_PROVIDER };
    case 401:
    case 402:
    case 403: return (struct peri_blame){ PERI_EAUTH, PERI_SCOPE_KEY };
    case 404:
    case 405:
    case 410: return (struct peri_blame){ PERI_ENOTFOUND, PERI_SCOPE_ENDPOINT };
    case 407:
    case 408:
    case 409:
    case 411:
    case 414:
    case 417:
    case 421:
    case 425:
    case 426:
    case 431:
    case 499: return moment;
    default: break;
    }
    if (status < 400 || status >= 500) return moment;
    return (struct peri_blame){ PERI_EREJECTED, PERI_SCOPE_REQUEST };
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

enum peri_scope peri_health_scope(enum peri_err err) {
    switch (err) {
    case PERI_EAUTH: return PERI_SCOPE_KEY;
    case PERI_ENOMODEL: return PERI_SCOPE_MODEL;
    case PERI_ENOTFOUND: return PERI_SCOPE_ENDPOINT;
    case PERI_ERATELIMIT:
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
    case PERI_EDENIED: return PERI_SCOPE_PROVIDER;
    default: return PERI_SCOPE_REQUEST;
    }
}
