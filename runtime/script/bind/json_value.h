/* Between Lua values and JSON text: what script/bind/bind_json.c is built on. */
#ifndef PERI_SCRIPT_BIND_JSON_VALUE_H
#define PERI_SCRIPT_BIND_JSON_VALUE_H

#include <lauxlib.h>

#include "base/json_text.h"
#include "script/bind/bind_json.h"

/* The texts of the registry's keys are their addresses. */
enum peri_json_key {
    PERI_JSON_KEY_NULL,      /* the sentinel */
    PERI_JSON_KEY_ARRAY,     /* metatables: tables marked as array or as object, */
    PERI_JSON_KEY_OBJECT,    /* */
    PERI_JSON_KEY_NODE,      /* proxies, */
    PERI_JSON_KEY_BOX,       /* documents' boxes, */
    PERI_JSON_KEY_BUF,       /* buffers, */
    PERI_JSON_KEY_ARENA,     /* arenas */
    PERI_JSON_KEY_DOCUMENTS, /* weak: from a document's address to its box */
    PERI_JSON_KEY_LEDGER,    /* memory held by documents of this state */
    PERI_JSON_KEYS
};
const void *peri_json_key(enum peri_json_key key);
/* Push what is kept under a key; gives its type. */
int peri_json_push_kept(lua_State *L, enum peri_json_key key);
/* Is the value's metatable the one kept under that key? Proxies and marks can not be forged: scripts never get
 * hold of these metatables. */
bool peri_json_is_kept_type(lua_State *L, int index, enum peri_json_key key);

/* Keep a sealed metatable: getmetatable gives its name, setmetatable refuses. */
PERI_RAISES void peri_json_keep_type(lua_State *L, enum peri_json_key key, const char *name,
                                     const luaL_Reg *methods);

/* Make and keep the sentinel, the marks and the buffers' metatable. */
PERI_RAISES void peri_json_value_open(lua_State *L);
PERI_RAISES void peri_json_push_null(lua_State *L);
bool peri_json_is_null(lua_State *L, int index);

/* Push an empty buffer, or arena, that Lua frees when the C function that pushed it returns or raises. It may take what
 * documents may still hold (json_box.h). It stays on the stack until then, or until lua_closeslot. */
PERI_RAISES struct peri_buf *peri_json_push_buf(lua_State *L);
PERI_RAISES struct peri_arena *peri_json_push_arena(lua_State *L);

/* What kind a value would have as JSON.
 *   gives   false for what JSON can not say (nil, functions, …) */
bool peri_json_kind_of(lua_State *L, int index, enum peri_json_kind *kind);

/* Append any value as JSON. `out` belongs to Lua (peri_json_push_buf). Every value
 * and every 32 bytes are a step of the budget, while they are written. */
PERI_RAISES void peri_json_add_value(lua_State *L, int index, struct peri_buf *out);

/* Push a string with its escapes decoded. */
PERI_RAISES void peri_json_push_string(lua_State *L, struct peri_str raw);
/* Push a scalar as a Lua value.
 *   gives   false, nothing pushed, for containers */
PERI_RAISES bool peri_json_push_scalar(lua_State *L, struct peri_json *j, uint32_t node);
/* Push plain tables and scalars for a node and all below. With drops_null members and elements that are null are
 * left out. Every value is a step of the budget. */
PERI_RAISES void peri_json_push_plain(lua_State *L, struct peri_json *j, uint32_t node,
                                      bool drops_null);

#endif
