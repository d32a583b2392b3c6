/* peri.hash and peri.encode: the hashes our networks use, and bytes as text. Digests are bytes; the same names
 * with _hex give lower-case hexadecimal. */
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "script/open.h"

#define BYTES_PER_STEP 16 /* SHA-256 takes 0.6 µs a KB, about what 60 Lua instructions take */
#define DIGEST_MAX     32
#define TEXT_MAX       (64u << 20) /* bytes to encode or decode: far more than a policy's memory cap */

enum kind { SHA256, RIPEMD160, KECCAK256 };

static struct peri_str check_bytes(lua_State *L, int i) {
    struct peri_str s;
    s.p = luaL_checklstring(L, i, &s.n);
    luaL_argcheck(L, s.n <= TEXT_MAX, i, "longer than 64 MiB");
    peri_budget_charge(&peri_state_of(L)->budget, L, 1 + s.n / BYTES_PER_STEP);
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

static size_t digest(lua_State *L, unsigned char out[DIGEST_MAX], enum kind kind,
                     struct peri_str bytes) {
    struct hasher_box *box = lua_touserdata(L, lua_upvalueindex(2));
    switch (kind) {
    case RIPEMD160: peri_ripemd160(out, bytes); return 20;
    case KECCAK256: peri_keccak256(out, bytes); return 32;
    case SHA256: break;
    }
    if (box->is_closed) luaL_error(L, "the interpreter is closing");
    enum peri_err err = box->hasher == NULL ? peri_hasher_new(&box->hasher) : PERI_OK;
    if (err != PERI_OK) luaL_error(L, "no hashing: %s", peri_err_text(err));
    err = peri_sha256(box->hasher, out, bytes);
    if (err != PERI_OK) luaL_error(L, "%s", peri_err_text(err));
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
    struct peri_str bytes = check_bytes(L, 1);
    luaL_Buffer b;
    peri_hex_encode(luaL_buffinitsize(L, &b, 2 * bytes.n), bytes);
    luaL_pushresultsize(&b, 2 * bytes.n);
    return 1;
}

static int encode_base64(lua_State *L) {
    struct peri_str bytes = check_bytes(L, 1);
    size_t n = peri_base64_length(bytes.n);
    luaL_Buffer b;
    peri_base64_encode(luaL_buffinitsize(L, &b, n), bytes);
    luaL_pushresultsize(&b, n);
    return 1;
}

static int push_decoded(lua_State *L, enum peri_err (*decode)(unsigned char *out, size_t cap,
                                                              size_t *n, struct peri_str text)) {
    struct peri_str text = check_bytes(L, 1);
    luaL_Buffer b;
    size_t n;
    unsigned char *out = (unsigned char *)luaL_buffinitsize(L, &b, text.n + 1);
    enum peri_err err = decode(out, text.n, &n, text);
    luaL_pushresultsize(&b, n);
    return err == PERI_OK ? 1 : peri_push_failure(L, err);
}

static int encode_unhex(lua_State *L) { return push_decoded(L, peri_hex_decode); }
static int encode_unbase64(lua_State *L) { return push_decoded(L, peri_base64_decode); }

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
