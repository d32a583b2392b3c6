/* What a failure is about: the narrowest thing that explains it, and the only one that rests because of it. */
#ifndef PERI_FLEET_SCOPE_H
#define PERI_FLEET_SCOPE_H

enum peri_scope {
    PERI_SCOPE_REQUEST,  /* this request alone: nothing rests */
    PERI_SCOPE_MODEL,    /* its model at that endpoint of that provider */
    PERI_SCOPE_KEY,      /* the key it was sent with */
    PERI_SCOPE_ENDPOINT, /* the endpoint at that provider */
    PERI_SCOPE_PROVIDER,
    PERI_SCOPE_NETWORK, /* all hosts of it */
    PERI_SCOPE_COUNT
};

/* "request", "model", "key", … for log lines and status pages. */
const char *peri_scope_name(enum peri_scope scope);

#endif
