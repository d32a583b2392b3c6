/* Whether a request can succeed at a provider's model: what the request needs, against what the model is declared, or
 * was read, to have (config/config.h). What is not known about a model is no reason to keep a request from it.
 *
 * Tokens are counted from below: a request that would fit is never taken for too long. Counted are the words (runs of
 * bytes that begin with an ASCII letter behind white space or at the beginning) of the texts that are not the model's own
 * earlier turns, which templates may cut. No token spans two such words with the tokenizers of today's models: byte-pair
 * ones split at white space first (the patterns of GPT-2, GPT-4, Llama 3, Qwen, DeepSeek, Kimi, GLM, MiniMax), and so does
 * SentencePiece unless told otherwise (Llama 2, Mistral, Gemma). Ones trained to cross it (SuperBPE, AI21's Jurassic) are
 * the exception: give their models no `context_tokens`. English runs at 1.3 tokens a word, code at 2 and more, Chinese
 * is not counted at all. max_tokens is not added: providers that cut it to size would have served. Requests that allow
 * the provider to cut their text (`transforms`, `truncate_prompt_tokens`) count nothing. What is too long all the same the
 * provider says itself, and those that are known to read more are asked then (request/attempt.c).
 */
#ifndef PERI_FLEET_FIT_H
#define PERI_FLEET_FIT_H

#include "base/json.h"
#include "config/ability.h"
#include "fleet/fleet.h"

struct peri_need {
    unsigned abilities; /* bits of enum peri_ability */
    uint64_t tokens;    /* at least so many; 0: not counted, it fits */
};

/* Of a model with declared limits: whether the request fits. NULL (nothing is known) fits. */
bool peri_fit(const struct peri_config_model *m, const struct peri_need *need);

/* Those of `from` that the request fits, in the same order: `from` itself when it fits all of them.
 *   need   out: as much of it as the limits of these candidates ask to look at
 *   a      for the list; when memory runs out it is `from`, and the providers say it themselves */
struct peri_candidates peri_fit_sift(struct peri_need *need, struct peri_candidates from,
                                     struct peri_json *body, enum peri_endpoint endpoint,
                                     struct peri_arena *a);

/* Why a request fits none of them, for the client. */
struct peri_misfit {
    char message[320];
    const char *code, *param; /* of the error */
};
void peri_fit_say(struct peri_misfit *out, struct peri_candidates all, const struct peri_need *need,
                  struct peri_str model);

#endif
