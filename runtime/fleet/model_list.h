/* What a provider says it serves: the answer to its GET …/models, read.
 *
 * The shapes read are {"data":[…]} (OpenAI, OpenRouter, vLLM, LiteLLM, Gonka's gateway and nodes), {"models":[…]} (older
 * Gonka nodes) and a bare list (Together), with `id` in each. Beside the id, where it is there:
 *   context   context_length, max_model_len, context_window, max_context_length, max_input_tokens
 *   output    max_output_tokens, max_completion_tokens, max_output_length, top_provider.max_completion_tokens
 *   takes     (architecture.)input_modalities; supported_parameters, capabilities.{vision,function_calling},
 *             supports_vision, supports_function_calling, supports_tools
 * the first two also in `model_info`. A context that is no larger than the output is not believed: Gonka's gateway says its
 * output cap for both. A list is a stranger's: it is bounded, and an entry that is odd is left out, not the list.
 *
 * A list never changes; it is shared by the fleets that are built with it.
 */
#ifndef PERI_FLEET_MODEL_LIST_H
#define PERI_FLEET_MODEL_LIST_H

#include "base/name.h"
#include "config/config.h"

#define PERI_MODEL_LIST_BYTES_MAX (8u << 20)    /* of the document; OpenRouter's has 0.7 MB */
#define PERI_MODEL_LIST_MAX       8192          /* models */
#define PERI_MODEL_NAME_MAX       PERI_NAME_MAX /* bytes; longer ones are left out */

struct peri_model_list {
    atomic_int refs;
    struct peri_arena arena;
    const struct peri_config_model *models; /* name and upstream are the provider's spelling */
    size_t count;
};

/*   gives   PERI_OK · PERI_EMALFORMED no such document · PERI_ENOTFOUND it lists nothing · PERI_ETOOBIG · PERI_ENOMEM,
 *           reason in `fault` */
PERI_MUST_USE enum peri_err peri_model_list_read(struct peri_model_list **out,
                                                 struct peri_str document,
                                                 struct peri_fault *fault);
struct peri_model_list *peri_model_list_ref(struct peri_model_list *l);
/* Any thread. Takes NULL. */
void peri_model_list_unref(struct peri_model_list *l);

/* The provider's entry of that name: as written, else without case. NULL when it has none. */
const struct peri_config_model *peri_model_list_find(const struct peri_model_list *l,
                                                     struct peri_str name);
/* They say the same, in the same order. */
bool peri_model_list_equal(const struct peri_model_list *a, const struct peri_model_list *b);

#endif
