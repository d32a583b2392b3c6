/* peri.hash and peri.encode: the hashes our networks use, and bytes as text. Digests are bytes; the same names
 * with _hex give lower-case hexadecimal. */
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "script/open.h"
#include "script/state/lua_str.h"

#define BYTES_PER_STEP 16 /* SHA-256 takes 0.6 µs a KB, about what 60 Lua instructions take */
#define PIECE          (3 * 64 * 136 * 4) /* bytes between two charges: whole blocks of every kind */
#define DIGEST_MAX     32
#define TEXT_MAX       (64u << 20) /* bytes to encode or decode: far more than a policy's memory cap */

enum kind { SHA256, RIPEMD160, KECCAK256 };

static struct peri_str check_bytes(lua_State *L, int i) {
    struct peri_str s = peri_check_str(L, i);
    luaL_argcheck(L, s.n <= TEXT_MAX, i, "longer than 64 MiB");
    return s;
}

/* Upvalue 2 is the box of the state's hasher, made when the first digest is asked for: OpenSSL's provider takes half a
 * megabyte, and most policies hash nothing. */
struct hasher_box {
    struct peri_hasher *hasher;
    bool is_closed;
};

static int hasher_gc(lua_State *L) {
    struct hasher_box *box = lua_touserdata(L, 1);
    peri_hasher_free(box->hasher);
    *box = (struct hasher_box){ NULL, true };
    return 0;
}

static void push_hasher(lua_State *L) {
    struct hasher_box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct hasher_box){ NULL, false };
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, hasher_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

/* The next piece of what is hashed or encoded, charged; the last one may be short. */
static bool take_piece(lua_State *L, struct peri_str *piece, struct peri_str *rest, size_t most) {
    if (rest->n == 0) return false;
    *piece = (struct peri_str){ rest->p, rest->n < most ? rest->n : most };
    *rest = peri_str_from(*rest, piece->n);
    peri_budget_charge(&peri_state_of(L)->budget, L, 1 + piece->n / BYTES_PER_STEP);
    return true;
}

static void digest_sha256(lua_State *L, unsigned char out[DIGEST_MAX], struct peri_str rest) {
    struct hasher_box *box = lua_touserdata(L, lua_upvalueindex(2));
    struct peri_str piece;
    if (box->is_closed) luaL_error(L, "the interpreter is closing");
    enum peri_err err = box->hasher == NULL ? peri_hasher_new(&box->hasher) : PERI_OK;
    if (err != PERI_OK) luaL_error(L, "no hashing: %s", peri_err_text(err));
    peri_sha256_begin(box->hasher);
    while (take_piece(L, &piece, &rest, PIECE)) peri_sha256_add(box->hasher, piece);
    err = peri_sha256_end(box->hasher, out);
    if (err != PERI_OK) luaL_error(L, "%s", peri_err_text(err));
}

static size_t digest(lua_State *L, unsigned char out[DIGEST_MAX], enum kind kind,
                     struct peri_str rest) {
    struct peri_str piece = { rest.p, 0 };
    struct peri_ripemd160 ripemd;
    struct peri_keccak256 keccak;
    switch (kind) {
    case RIPEMD160:
        peri_ripemd160_begin(&ripemd);
        while (take_piece(L, &piece, &rest, PIECE) && rest.n > 0)
            peri_ripemd160_add(&ripemd, piece);
        peri_ripemd160_end(&ripemd, out, piece);
        return 20;
    case KECCAK256:
        peri_keccak256_begin(&keccak);
        while (take_piece(L, &piece, &rest, PIECE) && rest.n > 0)
            peri_keccak256_add(&keccak, piece);
        peri_keccak256_end(&keccak, out, piece);
        return 32;
    case SHA256: digest_sha256(L, out, rest); break;
    }
    return 32;
}

static int push_digest(lua_State *L, enum kind kind) {
    unsigned char out[DIGEST_MAX];
    size_t n = digest(L, out, kind, check_bytes(L, 1));
    lua_pushlstring(L, (const char *)out, n);
    return 1;
}

static int push_digest_hex(lua_State *L, enum kind kind) {
    unsigned char out[DIGEST_MAX];
    char hex[2 * DIGEST_MAX];
    size_t n = digest(L, out, kind, check_bytes(L, 1));
    peri_hex_encode(hex, (struct peri_str){ (const char *)out, n });
    lua_pushlstring(L, hex, 2 * n);
    return 1;
}

static int hash_sha256(lua_State *L) { return push_digest(L, SHA256); }
static int hash_sha256_hex(lua_State *L) { return push_digest_hex(L, SHA256); }
static int hash_ripemd160(lua_State *L) { return push_digest(L, RIPEMD160); }
static int hash_ripemd160_hex(lua_State *L) { return push_digest_hex(L, RIPEMD160); }
static int hash_keccak256(lua_State *L) { return push_digest(L, KECCAK256); }
static int hash_keccak256_hex(lua_State *L) { return push_digest_hex(L, KECCAK256); }

static int encode_hex(lua_State *L) {
    struct peri_str rest = check_bytes(L, 1), piece;
    size_t n = 2 * rest.n;
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, n);
    for (; take_piece(L, &piece, &rest, PIECE); out += 2 * piece.n) peri_hex_encode(out, piece);
    luaL_pushresultsize(&b, n);
    return 1;
}

static int encode_base64(lua_State *L) {
    struct peri_str rest = check_bytes(L, 1), piece;
    size_t n = peri_base64_length(rest.n);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, n);
    for (; take_piece(L, &piece, &rest, PIECE); out += peri_base64_length(piece.n))
        peri_base64_encode(out, piece);
    luaL_pushresultsize(&b, n);
    return 1;
}

/* `whole`: bytes that a piece of PIECE characters has to give, unless it is the last. */
static int push_decoded(lua_State *L,
                        enum peri_err (*decode)(unsigned char *out, size_t cap, size_t *n,
                                                struct peri_str text),
                        size_t whole) {
    struct peri_str rest = check_bytes(L, 1), piece;
    luaL_Buffer b;
    size_t cap = rest.n, n = 0, done = 0;
    unsigned char *out = (unsigned char *)luaL_buffinitsize(L, &b, rest.n + 1);
    enum peri_err err = PERI_OK;
    while (err == PERI_OK && take_piece(L, &piece, &rest, PIECE)) {
        err = decode(out + done, cap - done, &n, piece);
        if (err == PERI_OK && rest.n > 0 && n != whole) err = PERI_EMALFORMED; /* padding inside */
        done += n;
    }
    luaL_pushresultsize(&b, err == PERI_OK ? done : 0);
    return err == PERI_OK ? 1 : peri_push_failure(L, err);
}

static int encode_unhex(lua_State *L) { return push_decoded(L, peri_hex_decode, PIECE / 2); }
static int encode_unbase64(lua_State *L) {
    return push_decoded(L, peri_base64_decode, PIECE / 4 * 3);
}

void peri_bind_hash_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg hashes[] = { { "sha256", hash_sha256 },
                                       { "sha256_hex", hash_sha256_hex },
                                       { "ripemd160", hash_ripemd160 },
                                       { "ripemd160_hex", hash_ripemd160_hex },
                                       { "keccak256", hash_keccak256 },
                                       { "keccak256_hex", hash_keccak256_hex },
                                       { NULL, NULL } };
    static const luaL_Reg encodings[] = { { "hex", encode_hex },
                                          { "unhex", encode_unhex },
                                          { "base64", encode_base64 },
                                          { "unbase64", encode_unbase64 },
                                          { NULL, NULL } };
    lua_newtable(L);
    peri_state_push(L, s);
    push_hasher(L);
    luaL_setfuncs(L, hashes, 2);
    lua_setfield(L, -2, "hash");
    lua_newtable(L);
    peri_state_set_functions(L, s, encodings);
    lua_setfield(L, -2, "encode");
}
