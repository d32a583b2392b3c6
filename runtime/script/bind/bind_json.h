/* Documents for Lua: `peri.json`, and the proxies that stand for a document's objects and arrays.
 *
 * A proxy reads and edits the document itself (base/json_edit.h): what a policy does not touch keeps its bytes.
 * Scalars come out as plain Lua values, null as `peri.json.null`. A proxy holds its document's box; when the
 * document ends first, the box is emptied (the document tells it) and every later use raises "document is
 * gone"; when Lua collects the box first, it leaves the document's watchers. What was removed from a document
 * raises, too. lua/perilune/_meta/json.lua describes the functions.
 */
#ifndef PERI_SCRIPT_BIND_BIND_JSON_H
#define PERI_SCRIPT_BIND_BIND_JSON_H

#include "base/json.h"
#include "script/state/state.h"

/* Push the table `peri.json`. Once per state, before anything else here. Functions that read or write whole
 * texts charge the state's budget a step for 32 bytes and a step for each value, while they work; with `s` NULL nothing is
 * charged. */
PERI_RAISES void peri_bind_json_open(lua_State *L, struct peri_state *s);

/* Push the proxy of a document's root, or of any node. The document stays the caller's: it may end, or be
 * forgotten, at any time. */
PERI_RAISES void peri_bind_json_push(lua_State *L, struct peri_json *j);
PERI_RAISES void peri_bind_json_push_node(lua_State *L, struct peri_json *j, uint32_t node);
/* From now on every proxy of it in this state raises "document is gone"; the document itself lives on. Ending
 * the document (peri_json_free) does the same by itself. Never raises. */
void peri_bind_json_forget(lua_State *L, struct peri_json *j);

/* Members of a document that scripts may not give another meaning, and the sentence they get. Ends with name NULL. */
struct peri_json_guard {
    const char *name, *sentence;
};
/* For the document of the proxy at `index`; `guards` is static. */
void peri_bind_json_guard(lua_State *L, int index, const struct peri_json_guard *guards);

/* Is the value at `index` a proxy? Raises when it is one whose document or node is gone.
 *   gives   false, nothing set, for every other value */
PERI_RAISES bool peri_bind_json_test(lua_State *L, int index, struct peri_json **j, uint32_t *node);

/* Push the JSON text of any value, as peri.json.encode does. */
PERI_RAISES void peri_bind_json_encode(lua_State *L, int index);

/* Push plain Lua values for a JSON text: arrays marked as such, null as the sentinel.
 *   gives   PERI_OK, or what peri_json_parse says, with nothing pushed */
PERI_RAISES enum peri_err peri_bind_json_decode(lua_State *L, struct peri_str text,
                                                struct peri_fault *fault);

#endif
