/* What a provider's error means by its code and type, which are words for programs; and the little that its sentence may
 * add.
 *
 * Sentences repeat what clients wrote, so they only ever narrow a failure down to the request or its model. Where one makes
 * more of it than its status does (an account without credit, or a missing model, told as a bad request) it must begin so.
 *
 * Source: error codes of OpenAI, Azure, Anthropic, Google (google.rpc.Code), Groq, DeepSeek, DashScope, OpenRouter, vLLM,
 * llama.cpp.
 */
#ifndef PERI_DIALECT_ERROR_SENSE_H
#define PERI_DIALECT_ERROR_SENSE_H

#include "dialect/upstream_error.h"

enum peri_error_sense {
    PERI_SENSE_UNKNOWN,
    PERI_SENSE_REQUEST,    /* it is malformed, or asks for what there is not */
    PERI_SENSE_TOO_LARGE,  /* its bytes */
    PERI_SENSE_CONTEXT,    /* its tokens */
    PERI_SENSE_MODERATION, /* its content is not allowed */
    PERI_SENSE_MODEL,      /* there is no such model, or not for us */
    PERI_SENSE_PATH,       /* there is nothing on that path */
    PERI_SENSE_NOT_FOUND,  /* one of the two */
    PERI_SENSE_KEY,        /* the key or its account is refused */
    PERI_SENSE_FUNDS,      /* the account has nothing left */
    PERI_SENSE_PRICE,      /* it has less than this request may cost */
    PERI_SENSE_UNFIT,      /* nothing that this provider has can take the request; another may */
    PERI_SENSE_RATE,
    PERI_SENSE_OVERLOAD,
    PERI_SENSE_SERVER,
    PERI_SENSE_TIMEOUT,
};

/*   status  of the answer
 *   model   the provider's name of the one that was asked for; may be empty */
enum peri_error_sense peri_error_sense(const struct peri_upstream_error *e, int status,
                                       struct peri_str model);

/* The status that an error inside a 200 stands for; 0: neither its code nor its type names one. */
int peri_error_sense_status(const struct peri_upstream_error *e);

/* Whether its sentence speaks of that model. */
bool peri_error_names(const struct peri_upstream_error *e, struct peri_str model);

#endif
