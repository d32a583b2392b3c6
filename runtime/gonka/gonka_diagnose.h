/* What the answer of a Gonka node means for the operator: a sentence that names the remedy, and what
 * routing should do.
 *
 * Nodes say much with few status codes: a 400 may be a clock that is off, a 500 an account nobody funded, a 403 a
 * node that may not take requests any more, a 410 a network whose classic API is closed. The texts are those of
 * the servers' source; what is none of them is judged by its status alone.
 *
 * Source: decentralized-api/internal/server/public and middleware/error_handler.go (v0.2.3 to v0.2.14),
 * devshard/cmd/devshardctl.
 */
#ifndef PERI_GONKA_GONKA_DIAGNOSE_H
#define PERI_GONKA_GONKA_DIAGNOSE_H

#include "base/err.h"
#include "base/str.h"

/* What to do with the request, and with who gave the answer. Hosts may lie: what one says about the wallet holds
 * for that host at once, and for the rest only after a second one has said the same; what one says about the whole network
 * holds for all for a moment, and for longer only after another one has said the same. */
enum peri_gonka_action {
    PERI_GONKA_ACT_NONE,   /* it is no failure */
    PERI_GONKA_ACT_CLIENT, /* the request itself is wrong: hand the answer to the client */
    PERI_GONKA_ACT_RESIGN, /* sign anew with a fresh stamp and try again, the same node too */
    PERI_GONKA_ACT_NEXT,   /* try another node; this one stays */
    PERI_GONKA_ACT_COOL,   /* try another node; this one rests a while */
    PERI_GONKA_ACT_DROP_ENDPOINT, /* not this node again until the next epoch or a change of parameters */
    PERI_GONKA_ACT_DROP_MODEL,   /* this node does not have the model: not for it again, refresh */
    PERI_GONKA_ACT_DROP_WALLET,  /* this wallet can not pay: another one, or another provider */
    PERI_GONKA_ACT_DROP_NETWORK, /* nothing here will work until the configuration is changed */
    PERI_GONKA_ACT_RESYNC_CLOCK /* the machine's clock is off: one more try with a fresh stamp, tell the operator */
};

struct peri_gonka_advice {
    enum peri_gonka_action action;
    const char *code; /* stable, for programs and metrics: "gonka_api_closed" */
    const char *
        sentence; /* for the operator, with the remedy; static text, names no value of the request */
};

/* Judge one answer.
 *
 *   status  of the answer; 0: the connection failed or was closed without one
 *   body    its first kilobytes, of any kind: JSON of several shapes, HTML, plain text; may be empty */
struct peri_gonka_advice peri_gonka_diagnose(int status, struct peri_str body);

/* The same for somebody who is not known to be a node: a broker, or the operator's own gateway (devshardctl), which are
 * ordinary providers. Judged is only what carries words of the network's own servers; the action is
 * PERI_GONKA_ACT_NONE for all else, whatever the status. */
struct peri_gonka_advice peri_gonka_recognise(int status, struct peri_str body);

const char *peri_gonka_action_name(enum peri_gonka_action action); /* "drop_endpoint" */

#endif
