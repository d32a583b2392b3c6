/* A streamed answer told as a whole one: what a client that asked for no stream gets when the provider sent one.
 *
 * The events' objects are merged, member by member: texts are put one behind the other, lists too, choices and tool calls
 * by their `index`; of numbers, of usage and of lists at the top the last one counts, of names (role, id, model) the first.
 * Texts keep the escapes that the provider wrote. Nothing is invented: a choice without a finish reason gets null.
 */
#ifndef PERI_DIALECT_FOLD_H
#define PERI_DIALECT_FOLD_H

#include "base/buf.h"

/* Append the answer.
 *   events   a JSON array of the events' data, in their order
 *   gives    PERI_OK · PERI_EPROTO no choices, or more of anything than an answer has · PERI_ENOMEM, PERI_ETOOBIG */
PERI_MUST_USE enum peri_err peri_chat_whole_of_stream(struct peri_buf *answer,
                                                      struct peri_str events);
PERI_MUST_USE enum peri_err peri_completions_whole_of_stream(struct peri_buf *answer,
                                                             struct peri_str events);

#endif
