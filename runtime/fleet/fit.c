#include "fleet/fit.h"

#include <stdio.h>

static struct peri_need_limits limits_of(struct peri_candidates from) {
    struct peri_need_limits limits = { .least_tokens = UINT64_MAX };
    for (size_t i = 0; i < from.count; i++) {
        const struct peri_config_model *m = from.at[i].model;
        if (m == NULL) continue;
        limits.lacks |= m->lacks;
        if (m->context_tokens == 0) continue;
        if (m->context_tokens < limits.least_tokens) limits.least_tokens = m->context_tokens;
        if (m->context_tokens > limits.most_tokens) limits.most_tokens = m->context_tokens;
    }
    return limits;
}

bool peri_fit(const struct peri_config_model *m, const struct peri_need *need) {
    if (m == NULL) return true;
    return (need->abilities & m->lacks) == 0 &&
           (m->context_tokens == 0 || need->tokens <= m->context_tokens);
}

struct peri_candidates peri_fit_select(struct peri_need *need, struct peri_candidates from,
                                       struct peri_json *body, const struct peri_dialect *dialect,
                                       struct peri_arena *a) {
    struct peri_need_limits limits = limits_of(from);
    *need = (struct peri_need){ 0 };
    if (dialect->read_need != NULL) dialect->read_need(need, body, &limits);
    size_t fitting = 0, count = 0;
    for (size_t i = 0; i < from.count; i++) fitting += peri_fit(from.at[i].model, need);
    if (fitting == from.count) return from;
    struct peri_candidate *list = peri_arena_alloc(a, (fitting + 1) * sizeof *list);
    if (list == NULL) return from;
    for (size_t i = 0; i < from.count; i++)
        if (peri_fit(from.at[i].model, need)) list[count++] = from.at[i];
    return (struct peri_candidates){ list, count, from.model, true };
}

/* ---- Why nobody ---- */

static void say_abilities(struct peri_misfit *out, unsigned missing, struct peri_str model) {
    char text[64] = ""; /* all of them with "and" between are 44 bytes */
    size_t n = 0;
    unsigned ability;
    for (size_t i = 0; peri_ability_word(i, &ability) != NULL; i++)
        if (missing & ability)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? " and " : "",
                                  peri_ability_plural(i));
    snprintf(out->message, sizeof out->message,
             "no provider of the model '%.*s' takes %s, and the request has them",
             (int)(model.n < 128 ? model.n : 128), model.p, text);
    bool is_media = missing & PERI_TAKES_MEDIA;
    out->code = is_media ? "unsupported_content" : "unsupported_parameter";
    out->param = is_media ? "messages" : "tools";
}

void peri_fit_say(struct peri_misfit *out, struct peri_candidates all, const struct peri_need *need,
                  struct peri_str model) {
    unsigned missing = 0;
    uint64_t context = 0;
    for (size_t i = 0; i < all.count; i++) {
        const struct peri_config_model *m = all.at[i].model;
        unsigned here = m == NULL ? 0 : need->abilities & m->lacks;
        missing |= here;
        if (m != NULL && here == 0 && m->context_tokens > context) context = m->context_tokens;
    }
    if (context == 0) {
        say_abilities(out, missing, model);
        return;
    }
    /* Clients that shorten a conversation by themselves look for the first words as well as for the code. */
    snprintf(out->message, sizeof out->message,
             "This model's maximum context length is %llu tokens with the providers there are for "
             "'%.*s', and the messages hold at least %llu. Shorten them.",
             (unsigned long long)context, (int)(model.n < 128 ? model.n : 128), model.p,
             (unsigned long long)need->tokens);
    out->code = "context_length_exceeded";
    out->param = "messages";
}
