/* Tables of options that scripts give to functions of ours: one table says what each may be, one function refuses
 * everything else, with the function's name, the nearest name there is, or the value and what was expected.
 */
#ifndef PERI_SCRIPT_STATE_OPTIONS_H
#define PERI_SCRIPT_STATE_OPTIONS_H

#include "script/state/state.h"

enum peri_option_kind {
    PERI_OPTION_INTEGER, /* a number without fraction, from `least` to `most` */
    PERI_OPTION_TEXT,
    PERI_OPTION_FLAG,
    PERI_OPTION_TABLE,
    PERI_OPTION_FUNCTION,
    PERI_OPTION_ANY, /* the function itself says what it takes */
};

struct peri_option {
    const char *name;
    enum peri_option_kind kind;
    lua_Integer least, most;
};

/* Put a plain table of the options that were given, each of its kind, in the place of the argument at `index`, which is
 * on the stack. What it holds lives as long as it, whatever the script's own table does (it may have a metatable).
 *   index     nil: an empty table · no table: raises
 *   function  for messages, as scripts spell it: "req:try" */
PERI_RAISES void peri_options_take(lua_State *L, int index, const char *function,
                                   const struct peri_option *options, size_t count);

/* Read what peri_options_take left at `index`. */
bool peri_options_has(lua_State *L, int index, const char *name);
lua_Integer peri_options_integer(lua_State *L, int index, const char *name, lua_Integer fallback);
bool peri_options_flag(lua_State *L, int index, const char *name, bool fallback);
/* gives p NULL when absent */
struct peri_str peri_options_text(lua_State *L, int index, const char *name);

#endif
