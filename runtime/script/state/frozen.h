/* Read-only views of tables: an empty table, whose metatable reads through to the table behind it and refuses to write.
 *
 * A shallow view reads at the speed of any table and gives inner tables as they are: for libraries, whose inner tables
 * are views already. A deep view gives a view of each inner table as it is read, the same one for as long as anybody
 * holds it, so tables that hold themselves are no trouble. What the module itself holds in its locals stays as it is:
 * its functions may write there, and readers see it.
 *
 * pairs, ipairs, next, #, rawget, rawlen and the table library read through a view as if it were the table; ==, calls
 * and tostring go to the table behind it. C functions that walk a table with lua_next ask peri_frozen_open first.
 */
#ifndef PERI_SCRIPT_STATE_FROZEN_H
#define PERI_SCRIPT_STATE_FROZEN_H

#include "script/state/state.h"

/* The metatable of deep views; once a state. */
PERI_RAISES void peri_frozen_init(lua_State *L);
/* Replace the table on the top by a view of it; `name` is for messages: "string". A view stays as it is: in a view of it the
 * table behind would stand under a key that a walk finds. */
PERI_RAISES void peri_frozen_shallow(lua_State *L, const char *name);
PERI_RAISES void peri_frozen_deep(lua_State *L, const char *name);
/* When the value at `index` is a view, put the table behind it in its place. */
void peri_frozen_open(lua_State *L, int index);
bool peri_frozen_is_view(lua_State *L, int index);
/* next, rawget and rawlen for scripts, into the table on the top. */
PERI_RAISES void peri_frozen_set_functions(lua_State *L);

#endif
