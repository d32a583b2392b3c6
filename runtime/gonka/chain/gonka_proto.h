/* Protocol-buffer bytes, as far as Gonka's records and proofs need them: a reader of fields, and the decoder of
 * `ActiveParticipants`, the record a proof covers.
 *
 * Source: the protobuf encoding guide; inference-chain/proto/inference/inference/activeparticipants.proto.
 */
#ifndef PERI_GONKA_CHAIN_GONKA_PROTO_H
#define PERI_GONKA_CHAIN_GONKA_PROTO_H

#include "gonka/chain/gonka_set.h"

enum peri_proto_wire {
    PERI_PROTO_VARINT = 0,
    PERI_PROTO_FIXED64 = 1,
    PERI_PROTO_BYTES = 2,
    PERI_PROTO_FIXED32 = 5
};

/* One field of a message. */
struct peri_proto_field {
    uint32_t number;
    enum peri_proto_wire wire;
    uint64_t value;        /* of VARINT, FIXED64, FIXED32; a signed number in two's complement */
    struct peri_str bytes; /* of BYTES: a view of the message */
};

/* Take the next field off the front of a message.
 *   gives   true: one was taken · false: the message is at its end (*err is PERI_OK) or broken
 *           (PERI_EMALFORMED: cut short, a varint over 64 bits, field number 0, a group) */
PERI_MUST_USE bool peri_proto_next(struct peri_proto_field *field, struct peri_str *message,
                                   enum peri_err *err);

/* Write a varint; `out` has room for 10 bytes. Gives the bytes written. */
size_t peri_proto_put_varint(unsigned char *out, uint64_t value);
/* Read one off the front. gives PERI_OK · PERI_EMALFORMED */
PERI_MUST_USE enum peri_err peri_proto_take_varint(uint64_t *out, struct peri_str *bytes);

/* Decode ActiveParticipants into a new set; texts are copied. Unknown fields are skipped, known ones of a wrong
 * wire type are an error.
 *   gives   PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG over the caps of gonka_set.h · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_gonka_set_decode(struct peri_gonka_set **out,
                                                  struct peri_str bytes, struct peri_fault *fault);

#endif
