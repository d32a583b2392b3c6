#include "gonka/chain/ics23.h"

#include "gonka/chain/gonka_proto.h"

/* HashOp and LengthOp of proofs.proto. */
enum { NO_HASH = 0, SHA256 = 1, VAR_PROTO = 1 };

struct leaf {
    uint64_t hash, prehash_key, prehash_value, length;
    struct peri_str prefix;
};

struct inner {
    uint64_t hash;
    struct peri_str prefix, suffix;
};

/* A singular field may stand once, in its own wire type; `seen` has a bit for each number. */
static bool is_fresh(unsigned *seen, const struct peri_proto_field *f, enum peri_proto_wire wire) {
    if (f->number > 31 || f->wire != wire || (*seen >> f->number & 1) != 0) return false;
    *seen |= 1u << f->number;
    return true;
}

static enum peri_err read_leaf(struct leaf *out, struct peri_str message) {
    struct peri_proto_field f;
    unsigned seen = 0;
    enum peri_err err;
    *out = (struct leaf){ 0 };
    while (peri_proto_next(&f, &message, &err)) {
        if (f.number > 5 ||
            !is_fresh(&seen, &f, f.number == 5 ? PERI_PROTO_BYTES : PERI_PROTO_VARINT))
            return PERI_EMALFORMED;
        switch (f.number) {
        case 1: out->hash = f.value; break;
        case 2: out->prehash_key = f.value; break;
        case 3: out->prehash_value = f.value; break;
        case 4: out->length = f.value; break;
        default: out->prefix = f.bytes; break;
        }
    }
    return err;
}

static enum peri_err read_inner(struct inner *out, struct peri_str message) {
    struct peri_proto_field f;
    unsigned seen = 0;
    enum peri_err err;
    *out = (struct inner){ 0 };
    while (peri_proto_next(&f, &message, &err)) {
        if (f.number > 3 ||
            !is_fresh(&seen, &f, f.number == 1 ? PERI_PROTO_VARINT : PERI_PROTO_BYTES))
            return PERI_EMALFORMED;
        if (f.number == 1)
            out->hash = f.value;
        else if (f.number == 2)
            out->prefix = f.bytes;
        else
            out->suffix = f.bytes;
    }
    return err;
}

/* The three zig-zag varints in front of every IAVL node: height, size, version. */
static bool take_iavl_numbers(uint64_t out[3], struct peri_str *prefix) {
    for (int i = 0; i < 3; i++) {
        if (peri_proto_take_varint(&out[i], prefix) != PERI_OK || (out[i] & 1) != 0) return false;
        out[i] >>= 1; /* even: not negative */
    }
    return true;
}

static bool is_leaf_of(enum peri_ics23_tree tree, const struct leaf *leaf) {
    uint64_t numbers[3];
    struct peri_str prefix = leaf->prefix;
    if (leaf->hash != SHA256 || leaf->prehash_key != NO_HASH || leaf->prehash_value != SHA256 ||
        leaf->length != VAR_PROTO)
        return false;
    if (tree == PERI_ICS23_SIMPLE) return peri_str_eq(prefix, PERI_STR("\0"));
    return take_iavl_numbers(numbers, &prefix) && numbers[0] == 0 && numbers[1] == 1 &&
           prefix.n == 0;
}

/* One child's hash goes between prefix and suffix, the other child's stands in one of them. */
static bool is_inner_of(enum peri_ics23_tree tree, const struct inner *inner, size_t layer) {
    uint64_t numbers[3];
    struct peri_str prefix = inner->prefix, suffix = inner->suffix;
    if (inner->hash != SHA256) return false;
    if (tree == PERI_ICS23_SIMPLE)
        return prefix.n > 0 && prefix.p[0] == 1 && prefix.n + suffix.n == 33 &&
               (prefix.n == 1 || prefix.n == 33);
    if (!take_iavl_numbers(numbers, &prefix) || numbers[0] < layer || prefix.n == 0 ||
        prefix.p[0] != 0x20)
        return false;
    if (prefix.n == 1) return suffix.n == 33 && suffix.p[0] == 0x20;
    return prefix.n == 34 && prefix.p[33] == 0x20 && suffix.n == 0;
}

static enum peri_err hash_leaf(struct peri_ics23 *proof, struct peri_hasher *h,
                               const struct leaf *leaf) {
    unsigned char value[32], key_length[10];
    enum peri_err err = peri_sha256(h, value, proof->value);
    if (err != PERI_OK) return err;
    size_t n = peri_proto_put_varint(key_length, proof->key.n);
    const struct peri_str parts[] = { leaf->prefix,
                                      { (char *)key_length, n },
                                      proof->key,
                                      PERI_STR_INIT("\x20"),
                                      { (char *)value, 32 } };
    return peri_sha256_parts(h, proof->root, parts, 5);
}

static enum peri_err climb(struct peri_ics23 *proof, struct peri_hasher *h,
                           enum peri_ics23_tree tree, struct peri_str message) {
    struct inner inner;
    enum peri_err err = read_inner(&inner, message);
    if (err != PERI_OK) return err;
    if (proof->steps == PERI_ICS23_STEPS_MAX) return PERI_ETOOBIG;
    if (!is_inner_of(tree, &inner, ++proof->steps)) return PERI_EDENIED;
    const struct peri_str parts[] = { inner.prefix, { (char *)proof->root, 32 }, inner.suffix };
    return peri_sha256_parts(h, proof->root, parts, 3);
}

/* ExistenceProof: key, value and leaf are read first, then the path in its order, wherever they stand. */
static enum peri_err read_existence(struct peri_ics23 *out, struct peri_hasher *h,
                                    enum peri_ics23_tree tree, struct peri_str message) {
    struct peri_proto_field f;
    struct peri_str leaf_bytes = { NULL, 0 }, rest = message;
    struct leaf leaf;
    unsigned seen = 0;
    enum peri_err err;
    while (peri_proto_next(&f, &rest, &err)) {
        if (f.number > 4 || f.wire != PERI_PROTO_BYTES) return PERI_EMALFORMED;
        if (f.number == 4) continue;
        if (!is_fresh(&seen, &f, PERI_PROTO_BYTES)) return PERI_EMALFORMED;
        if (f.number == 1) out->key = f.bytes;
        if (f.number == 2) out->value = f.bytes;
        if (f.number == 3) leaf_bytes = f.bytes;
    }
    if (err != PERI_OK || (err = read_leaf(&leaf, leaf_bytes)) != PERI_OK) return err;
    if (out->key.n == 0 || out->value.n == 0 || !is_leaf_of(tree, &leaf)) return PERI_EDENIED;
    err = hash_leaf(out, h, &leaf);
    for (enum peri_err end; err == PERI_OK && peri_proto_next(&f, &message, &end);)
        if (f.number == 4) err = climb(out, h, tree, f.bytes);
    return err;
}

enum peri_err peri_ics23_existence(struct peri_ics23 *out, struct peri_hasher *h,
                                   enum peri_ics23_tree tree, struct peri_str proof) {
    struct peri_proto_field f;
    enum peri_err err;
    *out = (struct peri_ics23){ 0 };
    if (!peri_proto_next(&f, &proof, &err) || f.wire != PERI_PROTO_BYTES || proof.n > 0)
        return PERI_EMALFORMED;
    /* 2 nonexist, 3 batch, 4 compressed are sound messages, but prove something else. */
    if (f.number != 1) return f.number <= 4 ? PERI_EDENIED : PERI_EMALFORMED;
    return read_existence(out, h, tree, f.bytes);
}
