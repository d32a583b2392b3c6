/* Headers that scripts give, as name and value: what can not be sent raises, with the header's name and the reason.
 * And those that came, as a table. */
#ifndef PERI_SCRIPT_BIND_BIND_HEADER_H
#define PERI_SCRIPT_BIND_BIND_HEADER_H

#include "script/state/state.h"

/* The strings at two places of the stack; borrowed until they leave it. Numbers count as strings. */
PERI_RAISES struct peri_header peri_check_header(lua_State *L, int name, int value);
/* Raise for a header that `fault` (a clause, as peri_header_fault gives) tells of; nothing when it is NULL. */
PERI_RAISES void peri_refuse_header(lua_State *L, struct peri_str name, const char *fault);

/* In lower case. */
PERI_RAISES void peri_push_lower(lua_State *L, struct peri_str s);
/* Add a header to the table on the top, under its name in lower case: behind ", " where the name has come before. */
PERI_RAISES void peri_add_header(lua_State *L, struct peri_header header);

#endif
