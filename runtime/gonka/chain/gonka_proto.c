#include "gonka/chain/gonka_proto.h"

enum peri_err peri_proto_take_varint(uint64_t *out, struct peri_str *bytes) {
    *out = 0;
    for (unsigned i = 0; i < 10 && i < bytes->n; i++) {
        unsigned char c = (unsigned char)bytes->p[i];
        if (i == 9 && c > 1) return PERI_EMALFORMED;
        *out |= (uint64_t)(c & 127) << (7 * i);
        if (c < 128) {
            *bytes = peri_str_from(*bytes, i + 1);
            return PERI_OK;
        }
    }
    return PERI_EMALFORMED;
}

size_t peri_proto_put_varint(unsigned char *out, uint64_t value) {
    size_t n = 0;
    for (; value > 127; value >>= 7) out[n++] = (unsigned char)(value & 127) | 128;
    out[n++] = (unsigned char)value;
    return n;
}

static bool take_fixed(uint64_t *out, struct peri_str *message, unsigned bytes) {
    if (message->n < bytes) return false;
    *out = 0;
    for (unsigned i = 0; i < bytes; i++) *out |= (uint64_t)(unsigned char)message->p[i] << (8 * i);
    *message = peri_str_from(*message, bytes);
    return true;
}

static bool take_value(struct peri_proto_field *field, struct peri_str *message) {
    switch (field->wire) {
    case PERI_PROTO_VARINT: return peri_proto_take_varint(&field->value, message) == PERI_OK;
    case PERI_PROTO_FIXED64: return take_fixed(&field->value, message, 8);
    case PERI_PROTO_FIXED32: return take_fixed(&field->value, message, 4);
    case PERI_PROTO_BYTES:
        if (peri_proto_take_varint(&field->value, message) != PERI_OK || field->value > message->n)
            return false;
        field->bytes = (struct peri_str){ message->p, (size_t)field->value };
        *message = peri_str_from(*message, (size_t)field->value);
        return true;
    }
    return false;
}

bool peri_proto_next(struct peri_proto_field *field, struct peri_str *message, enum peri_err *err) {
    uint64_t tag;
    *err = PERI_OK;
    if (message->n == 0) return false;
    *err = PERI_EMALFORMED;
    if (peri_proto_take_varint(&tag, message) != PERI_OK || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    *field = (struct peri_proto_field){ .number = (uint32_t)(tag >> 3),
                                        .wire = (enum peri_proto_wire)(tag & 7) };
    if (!take_value(field, message)) return false;
    *err = PERI_OK;
    return true;
}

/* Count the fields of that number, which must be BYTES. */
static enum peri_err count_fields(size_t *out, struct peri_str message, uint32_t number) {
    struct peri_proto_field f;
    enum peri_err err;
    *out = 0;
    while (peri_proto_next(&f, &message, &err))
        if (f.number == number && f.wire == PERI_PROTO_BYTES) ++*out;
    return err;
}

/* MLNodeInfo: true when the second time slot, proof of compute, is kept for serving. */
static enum peri_err read_machine(bool *is_preserved, struct peri_str message) {
    struct peri_proto_field f;
    enum peri_err err;
    size_t slot = 0;
    while (peri_proto_next(&f, &message, &err)) {
        if (f.number != 4) continue;
        if (f.wire == PERI_PROTO_VARINT) { /* repeated bools may come unpacked */
            if (slot++ == 1 && f.value != 0) *is_preserved = true;
            continue;
        }
        if (f.wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
        for (uint64_t v; f.bytes.n > 0; slot++) {
            if (peri_proto_take_varint(&v, &f.bytes) != PERI_OK) return PERI_EMALFORMED;
            if (slot == 1 && v != 0) *is_preserved = true;
        }
    }
    return err;
}

/* ModelMLNodes */
static enum peri_err read_machines(bool *is_preserved, struct peri_str message) {
    struct peri_proto_field f;
    enum peri_err err;
    *is_preserved = false;
    while (peri_proto_next(&f, &message, &err)) {
        if (f.number != 1) continue;
        if (f.wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
        enum peri_err inner = read_machine(is_preserved, f.bytes);
        if (inner != PERI_OK) return inner;
    }
    return err;
}

static enum peri_err keep_text(struct peri_str *out, struct peri_arena *a,
                               const struct peri_proto_field *f) {
    if (f->wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
    *out = peri_arena_dup(a, f->bytes);
    return out->p == NULL ? PERI_ENOMEM : PERI_OK;
}

struct reading {
    struct peri_gonka_participant *p;
    struct peri_gonka_model *models;
    size_t models_at, groups_at, room;
    struct peri_arena *arena;
};

static enum peri_err read_field(struct reading *r, const struct peri_proto_field *f) {
    bool is_preserved;
    enum peri_err err;
    switch (f->number) {
    case 1: return keep_text(&r->p->address, r->arena, f);
    case 2: return keep_text(&r->p->validator_key, r->arena, f);
    case 3:
        if (f->wire != PERI_PROTO_VARINT) return PERI_EMALFORMED;
        r->p->told_weight = (int64_t)f->value;
        return PERI_OK;
    case 4: return keep_text(&r->p->told_url, r->arena, f);
    case 5: return keep_text(&r->models[r->models_at++].id, r->arena, f);
    case 7: /* groups stand in the models' order; one more may follow for machines without a model */
        if (f->wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
        err = read_machines(&is_preserved, f->bytes);
        if (r->groups_at < r->room) {
            struct peri_gonka_model *m = &r->models[r->groups_at++];
            m->is_preserved = m->is_slotted = is_preserved;
        }
        return err;
    default: return PERI_OK;
    }
}

static enum peri_err read_participant(struct peri_gonka_participant *p, struct peri_arena *a,
                                      struct peri_str message) {
    struct peri_proto_field f;
    struct reading r = { .p = p, .arena = a };
    enum peri_err err = count_fields(&r.room, message, 5);
    if (err != PERI_OK) return err;
    if (r.room > PERI_GONKA_MODELS_MAX) return PERI_ETOOBIG;
    r.models = peri_arena_zalloc(a, (r.room + 1) * sizeof *r.models);
    if (r.models == NULL) return PERI_ENOMEM;
    while (peri_proto_next(&f, &message, &err)) {
        if (f.number == 5 && f.wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
        enum peri_err inner = read_field(&r, &f);
        if (inner != PERI_OK) return inner;
    }
    p->models = r.models;
    p->model_count = r.models_at;
    p->is_weight_guessed = p->told_weight <= 0;
    if (p->is_weight_guessed) p->told_weight = 1;
    return err;
}

static enum peri_err read_number(struct peri_gonka_set *set, const struct peri_proto_field *f) {
    if (f->number < 2 || f->number > 6) return PERI_OK;
    if (f->wire != PERI_PROTO_VARINT) return PERI_EMALFORMED;
    switch (f->number) {
    case 2: set->group = f->value; break;
    case 3: set->poc_start_height = (int64_t)f->value; break;
    case 4: set->effective_height = (int64_t)f->value; break;
    case 5: set->created_height = (int64_t)f->value; break;
    default: set->epoch = f->value; break;
    }
    return PERI_OK;
}

static enum peri_err read_set(struct peri_gonka_set *set, struct peri_str bytes) {
    struct peri_proto_field f;
    size_t room;
    enum peri_err err = count_fields(&room, bytes, 1);
    if (err != PERI_OK) return err;
    if (room > PERI_GONKA_PARTICIPANTS_MAX) return PERI_ETOOBIG;
    set->participants = peri_arena_zalloc(&set->arena, (room + 1) * sizeof *set->participants);
    if (set->participants == NULL) return PERI_ENOMEM;
    while (peri_proto_next(&f, &bytes, &err)) {
        if (f.number == 1 && f.wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
        enum peri_err inner =
            f.number == 1 ? read_participant(&set->participants[set->count++], &set->arena, f.bytes)
                          : read_number(set, &f);
        if (inner != PERI_OK) return inner;
    }
    return err;
}

enum peri_err peri_gonka_set_decode(struct peri_gonka_set **out, struct peri_str bytes,
                                    struct peri_fault *fault) {
    struct peri_gonka_set *set = NULL;
    enum peri_err err = peri_gonka_set_new(&set);
    if (err == PERI_OK) err = read_set(set, bytes);
    if (err != PERI_OK) {
        peri_gonka_set_free(set);
        return peri_fault_set(fault, err, "the record of active participants: %s",
                              peri_err_text(err));
    }
    *out = set;
    return PERI_OK;
}
