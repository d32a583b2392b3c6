/* Lua's patterns with the work counted: the same language and messages as Lua 5.4's own string library, but
 * a pattern that backtracks without end is stopped by the budget. A pattern may have PERI_PATTERN_MAX bytes. */
#ifndef PERI_SCRIPT_STATE_STRINGS_H
#define PERI_SCRIPT_STATE_STRINGS_H

#include "script/state/state.h"

#define PERI_CAPTURES_MAX 32    /* LUA_MAXCAPTURES of Lua's own library */
#define PERI_MATCH_DEPTH  200   /* nested matches: MAXCCALLS of Lua's own library */
#define PERI_PATTERN_MAX  65536 /* bytes: a set is walked anew for every character of the text */
#define PERI_STRING_MAX                                                                            \
    ((size_t)1 << 30) /* bytes string.rep may ask for; the memory cap is far below */

struct peri_match {
    lua_State *L;
    struct peri_budget *budget;
    const char *text, *text_end, *pattern_end;
    unsigned steps; /* not yet charged */
    int depth, count;
    struct {
        const char *at;
        ptrdiff_t n; /* or CAPTURE_OPEN, CAPTURE_POSITION */
    } captures[PERI_CAPTURES_MAX];
};

void peri_match_init(struct peri_match *m, lua_State *L, struct peri_budget *budget,
                     struct peri_str text, struct peri_str pattern);
/* Match `pattern` (without its '^') at `at` exactly. gives the end of the match, NULL for none */
PERI_RAISES const char *peri_match_at(struct peri_match *m, const char *at, const char *pattern);
/* Push capture i (from 0); the whole match when there are no captures and i is 0. */
PERI_RAISES void peri_match_push(struct peri_match *m, int i, const char *at, const char *end);
/* Push all captures, or the whole match when there are none and `at` is not NULL. gives how many */
PERI_RAISES int peri_match_push_all(struct peri_match *m, const char *at, const char *end);

/* string.format; upvalue 2 is Lua's own. */
PERI_RAISES int peri_string_format(lua_State *L);

#endif
