/* A document's box in Lua, and what the documents of one state hold together: private to script/bind_json.c.
 *
 * One box stands for one document in one state, however many proxies there are. j becomes NULL once either side has
 * let go: the document ended (its watch says so), was forgotten, or Lua collected the box.
 */
#ifndef PERI_SCRIPT_JSON_BOX_H
#define PERI_SCRIPT_JSON_BOX_H

#include "base/json.h"
#include "script/state.h"

struct peri_json_ledger;

struct peri_json_box {
    struct peri_json *j;
    struct peri_json_watch watch;
    struct peri_json_ledger *ledger;      /* lives as long as the state */
    size_t held;                          /* our share of it; 0 for documents that C owns */
    const struct peri_json_guard *guards; /* NULL: any member may be changed */
    bool is_ours;                         /* made by a script: ends with the box */
};

PERI_RAISES void peri_json_box_open(lua_State *L, struct peri_state *s);

/* An empty box on the top. */
PERI_RAISES struct peri_json_box *peri_json_push_box(lua_State *L);
void peri_json_box_fill(struct peri_json_box *box, struct peri_json *j, bool is_ours);
/* Frees the document when it is ours. The box may be empty. */
void peri_json_box_let_go(struct peri_json_box *box);

/* The document was made or grew: for one of ours, raises when all of them hold too much. */
PERI_RAISES void peri_json_box_account(lua_State *L, struct peri_json_box *box);
/* Take a text's worth of work off the state's budget: call it while nothing is held. */
PERI_RAISES void peri_json_charge(lua_State *L, size_t bytes);

#endif
