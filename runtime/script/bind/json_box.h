/* A document's box in Lua, and what the documents of one state hold together: private to script/bind/bind_json.c.
 *
 * One box stands for one document in one state, however many proxies there are. j becomes NULL once either side has
 * let go: the document ended (its watch says so), was forgotten, or Lua collected the box.
 *
 * The ledger counts all bytes of documents that scripts made, and those by which edits of scripts made documents of C's
 * larger: these until the document ends, whatever becomes of the box.
 */
#ifndef PERI_SCRIPT_BIND_JSON_BOX_H
#define PERI_SCRIPT_BIND_JSON_BOX_H

#include "base/json.h"
#include "script/state/state.h"

struct peri_json_ledger;

struct peri_json_box {
    struct peri_json *j;
    struct peri_json_watch watch;
    struct peri_json_ledger *ledger; /* lives as long as the state */
    size_t held;                     /* in it, for a document of ours */
    size_t first;                    /* bytes of a document that C owns, when the box was filled */
    const struct peri_json_guard *guards; /* NULL: any member may be changed */
    bool is_ours;                         /* made by a script: ends with the box */
};

PERI_RAISES void peri_json_box_open(lua_State *L, struct peri_state *s);

/* An empty box on the top. */
PERI_RAISES struct peri_json_box *peri_json_push_box(lua_State *L);
void peri_json_box_fill(struct peri_json_box *box, struct peri_json *j, bool is_ours);
/* Frees the document when it is ours. The box may be empty. */
void peri_json_box_let_go(struct peri_json_box *box);

/* The document was made or grew: raises when all of them hold too much. */
PERI_RAISES void peri_json_box_account(lua_State *L, struct peri_json_box *box);
/* May documents of this state take so many bytes more? Looks what the collector can give back before it says no. */
bool peri_json_may_grow(lua_State *L, size_t bytes);
/* The sentence of that: raises. */
PERI_RAISES void peri_json_refuse_room(lua_State *L);
/* Bytes that documents may still take. */
size_t peri_json_room(lua_State *L);
/* Bytes of the ledger, for tests. */
size_t peri_json_held(lua_State *L);
/* Take a text's worth of work off the state's budget: call it while nothing is held. */
PERI_RAISES void peri_json_charge(lua_State *L, size_t bytes);

/* For struct peri_json_options, with the thread of Lua as argument: charges what was read, and says whether the budget has
 * more. Where it has not, the reading ends, and peri_json_charge raises. */
bool peri_json_has_time(void *L);

/* A loop over many small things charges them together. It may raise with every addition. */
struct peri_json_pace {
    struct peri_pace pace;
    lua_State *L;
};
struct peri_json_pace peri_json_pace(lua_State *L);

#endif
