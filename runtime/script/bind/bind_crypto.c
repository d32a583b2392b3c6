#include "script/bind/bind_crypto.h"

#include "base/err.h"
#include "gonka/account.h"
#include "script/state/lua_str.h"
#include "script/state/options.h"

static const char *const schemes[] = { "hashed", "raw_body", "body_only", NULL }; /* as the enum */

#define TEXT(name)                                                                                 \
    { name, PERI_OPTION_TEXT, 0, 0 }

/* A text member of the table at 1, which keeps it alive. */
static struct peri_str check_field(lua_State *L, const char *name) {
    struct peri_str s;
    if (lua_getfield(L, 1, name) != LUA_TSTRING)
        luaL_error(L, "'%s' must be a string, got %s", name, luaL_typename(L, -1));
    s.p = lua_tolstring(L, -1, &s.n);
    lua_pop(L, 1);
    return s;
}

static enum peri_gonka_scheme check_scheme(lua_State *L) {
    if (lua_getfield(L, 1, "scheme") == LUA_TNIL) lua_pushliteral(L, "hashed");
    const char *word = luaL_checkstring(L, -1);
    lua_pop(L, 1);
    for (int i = 0; schemes[i] != NULL; i++)
        if (strcmp(word, schemes[i]) == 0) return (enum peri_gonka_scheme)i;
    luaL_error(L, "'scheme' must be hashed, raw_body or body_only, got '%s'", word);
    return PERI_GONKA_HASHED;
}

static int gonka_check(lua_State *L) {
    static const struct peri_option options[] = { TEXT("authorization"), TEXT("body"),
                                                  TEXT("timestamp"),     TEXT("node"),
                                                  TEXT("public_key"),    TEXT("scheme") };
    luaL_checktype(L, 1, LUA_TTABLE);
    peri_options_take(L, 1, "peri.gonka.check", options, sizeof options / sizeof *options);
    struct peri_str authorization = check_field(L, "authorization"), body = check_field(L, "body"),
                    stamp = check_field(L, "timestamp"), node = check_field(L, "node"),
                    public_key = check_field(L, "public_key");
    enum peri_gonka_scheme scheme = check_scheme(L);
    struct peri_hasher *hasher;
    enum peri_err err = peri_hasher_new(&hasher);
    if (err != PERI_OK) return peri_push_failure(L, err);
    bool holds = peri_gonka_check(hasher, scheme, authorization, body, stamp, node, public_key);
    peri_hasher_free(hasher);
    lua_pushboolean(L, holds);
    return 1;
}

static int gonka_address(lua_State *L) {
    struct peri_str public_key = peri_check_str(L, 1);
    char text[PERI_ADDRESS_MAX];
    struct peri_hasher *hasher;
    enum peri_err err = peri_hasher_new(&hasher);
    if (err == PERI_OK) {
        err = peri_address_gonka(text, hasher, public_key);
        peri_hasher_free(hasher);
    }
    if (err != PERI_OK) return peri_push_failure(L, err);
    lua_pushstring(L, text);
    return 1;
}

static int gonka_keygen(lua_State *L) {
    struct peri_str path = peri_check_str(L, 1);
    struct peri_fault fault;
    enum peri_err err = peri_account_create(path, &fault);
    if (err != PERI_OK) return peri_push_fault(L, err, fault.text);
    lua_pushboolean(L, true);
    return 1;
}

static int gonka_wallet(lua_State *L) {
    struct peri_str source = peri_check_str(L, 1);
    struct peri_fault fault;
    struct peri_account account;
    enum peri_err err = peri_account_open(&account, source, &peri_env_process_kept, &fault);
    if (err != PERI_OK) return peri_push_fault(L, err, fault.text);
    struct peri_gonka_wallet w = account.wallet; /* what is read below is public */
    peri_account_done(&account);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, w.address);
    lua_setfield(L, -2, "address");
    lua_pushlstring(L, (const char *)w.public_key, sizeof w.public_key);
    lua_setfield(L, -2, "public_key");
    return 1;
}

static enum peri_err sign(struct peri_gonka_signed *out, char address[PERI_ADDRESS_MAX],
                          struct peri_str source, enum peri_gonka_scheme scheme,
                          struct peri_str body, uint64_t stamp_ns, struct peri_str node,
                          struct peri_fault *fault) {
    struct peri_account account;
    enum peri_err err = peri_account_open(&account, source, &peri_env_process_kept, fault);
    if (err != PERI_OK) return err;
    memcpy(address, account.wallet.address, PERI_ADDRESS_MAX);
    err = peri_gonka_sign(out, account.hasher, account.signer, &account.wallet, scheme, body,
                          stamp_ns, node);
    if (err != PERI_OK) peri_fault_set(fault, err, "%s", peri_err_text(err));
    peri_account_done(&account);
    return err;
}

static int gonka_sign(lua_State *L) {
    static const struct peri_option options[] = {
        TEXT("key"),    TEXT("body"),
        TEXT("node"),   { "timestamp", PERI_OPTION_INTEGER, 1, LUA_MAXINTEGER },
        TEXT("scheme"),
    };
    luaL_checktype(L, 1, LUA_TTABLE);
    peri_options_take(L, 1, "peri.gonka.sign", options, sizeof options / sizeof *options);
    struct peri_str key = check_field(L, "key"), body = check_field(L, "body"),
                    node = check_field(L, "node");
    enum peri_gonka_scheme scheme = check_scheme(L);
    lua_getfield(L, 1, "timestamp");
    lua_Integer stamp = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    luaL_argcheck(L, stamp > 0, 1, "'timestamp' must be nanoseconds since 1970");
    struct peri_gonka_signed out;
    struct peri_fault fault;
    char address[PERI_ADDRESS_MAX];
    enum peri_err err = sign(&out, address, key, scheme, body, (uint64_t)stamp, node, &fault);
    if (err != PERI_OK) return peri_push_fault(L, err, fault.text);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, out.authorization);
    lua_setfield(L, -2, "authorization");
    lua_pushstring(L, out.stamp);
    lua_setfield(L, -2, "x-timestamp");
    lua_pushstring(L, address);
    lua_setfield(L, -2, "x-requester-address");
    return 1;
}

static const unsigned char *check_seed(lua_State *L) {
    size_t n;
    const char *seed = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, n == 32, 1, "a seed of 32 bytes");
    return (const unsigned char *)seed;
}

static int validator_public(lua_State *L) {
    unsigned char key[32];
    enum peri_err err = peri_ed25519_public(key, check_seed(L));
    if (err != PERI_OK) return peri_push_failure(L, err);
    lua_pushlstring(L, (const char *)key, sizeof key);
    return 1;
}

static int validator_sign(lua_State *L) {
    unsigned char signature[64];
    const unsigned char *seed = check_seed(L);
    struct peri_str message = peri_check_str(L, 2);
    enum peri_err err = peri_ed25519_sign(signature, seed, message);
    if (err != PERI_OK) return peri_push_failure(L, err);
    lua_pushlstring(L, (const char *)signature, sizeof signature);
    return 1;
}

void peri_bind_crypto_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "check", gonka_check },
                                          { "address", gonka_address },
                                          { "keygen", gonka_keygen },
                                          { "wallet", gonka_wallet },
                                          { "sign", gonka_sign },
                                          { "validator_public", validator_public },
                                          { "validator_sign", validator_sign },
                                          { NULL, NULL } };
    lua_newtable(L);
    peri_state_set_functions(L, s, functions);
}
