/* A whole chat completion told as a stream: what a client that asked for a stream gets when the provider did not send
 * one.
 *
 * One chunk a choice carries its message as delta (tool calls with their index, reasoning kept) and its finish reason;
 * usage follows in a chunk without choices. The end frame is left to the caller.
 */
#ifndef PERI_DIALECT_CHAT_WHOLE_H
#define PERI_DIALECT_CHAT_WHOLE_H

#include "base/buf.h"

/* Append the frames of a chat completion.
 *   gives   PERI_OK · PERI_EPROTO no completion with choices and messages · PERI_ENOMEM, PERI_ETOOBIG */
PERI_MUST_USE enum peri_err peri_chat_stream_of_whole(struct peri_buf *frames,
                                                      struct peri_str completion);

#endif
