/* What an answer says it has cost, in tokens, out of every shape of `usage` that was seen.
 *
 * Beside OpenAI's own: `input_tokens` and `output_tokens`; cached tokens as `cached_tokens` (Moonshot),
 * `prompt_cache_hit_tokens` (DeepSeek) or `cache_read_input_tokens` (Anthropic); reasoning tokens beside those of the
 * completion instead of among them (xAI), which the total tells. A usage that can not be true is not taken.
 *
 * Source: OpenAI's API description 2.3.0 (CompletionUsage); facts on dialects for the others.
 */
#ifndef PERI_DIALECT_USAGE_H
#define PERI_DIALECT_USAGE_H

#include "base/str.h"

/* Tokens beyond this in one count are taken for nonsense. */
#define PERI_TOKENS_MAX 1000000000

struct peri_usage {
    uint64_t prompt_tokens, completion_tokens, total_tokens;
    uint64_t cached_tokens;    /* of the prompt */
    uint64_t reasoning_tokens; /* of the completion */
    bool is_known;             /* a believable usage object was there; the last one counts */
    bool is_absurd;            /* one was there that can not be true, and was not taken */
};

/* Take over what a usage object says.
 *   object   its raw text; anything else is no usage, and nothing changes */
void peri_usage_read(struct peri_usage *usage, struct peri_str object);

#endif
