/* What a request needs of the model that answers it: abilities, and room for so many tokens.
 *
 * Tokens are counted from below: a request that would fit is never taken for too long. Counted are the words (runs of
 * bytes that begin with an ASCII letter behind white space or at the beginning) of the texts that are not the model's own
 * earlier turns, which templates may cut. No token spans two such words with the tokenizers of today's models: byte-pair
 * ones split at white space first (the patterns of GPT-2, GPT-4, Llama 3, Qwen, DeepSeek, Kimi, GLM, MiniMax), and so does
 * SentencePiece unless told otherwise (Llama 2, Mistral, Gemma). Ones trained to cross it (SuperBPE, AI21's Jurassic) are
 * the exception: give their models no `context_tokens`. English runs at 1.3 tokens a word, code at 2 and more, Chinese
 * is not counted at all. max_tokens is not added: providers that cut it to size would have served. Requests that allow
 * the provider to cut their text (`transforms`, `truncate_prompt_tokens`) count nothing.
 */
#ifndef PERI_DIALECT_NEED_H
#define PERI_DIALECT_NEED_H

#include "base/json.h"
#include "dialect/ability.h"

struct peri_need {
    unsigned abilities; /* bits of enum peri_ability */
    uint64_t tokens;    /* at least so many; 0: not counted, it fits */
};

/* What the models that could answer are limited in. The rest of a request is not looked at. */
struct peri_need_limits {
    unsigned lacks; /* bits of enum peri_ability: some model lacks it */
    /* The fewest and the most tokens that a model with a known limit takes; most_tokens 0: no limit is known. */
    uint64_t least_tokens, most_tokens;
};

/* Add what these members of a body ask for: `tools`, `messages` (content parts and words), `prompt` (words). */
void peri_need_of_tools(struct peri_need *need, struct peri_json *body,
                        const struct peri_need_limits *limits);
void peri_need_of_messages(struct peri_need *need, struct peri_json *body,
                           const struct peri_need_limits *limits);
void peri_need_of_prompt(struct peri_need *need, struct peri_json *body,
                         const struct peri_need_limits *limits);

#endif
