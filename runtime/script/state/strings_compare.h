/* For strings_test and strings_fuzz: our pattern functions against Lua's own, on the same arguments. */
#ifndef PERI_SCRIPT_STATE_STRINGS_COMPARE_H
#define PERI_SCRIPT_STATE_STRINGS_COMPARE_H

#include <stdio.h>
#include <stdlib.h>

#include <lualib.h>

#include "script/state/sandbox.h"

/* gives true when every function says the same, results and errors alike; otherwise the first difference */
static const char compare_source[] =
    "local ours, theirs = ...\n"
    "local function outcome(f, ...)\n"
    "  local all = table.pack(pcall(f, ...))\n"
    "  for i = 1, all.n do all[i] = math.type(all[i]) == 'integer' and all[i] or tostring(all[i]) "
    "end\n"
    "  return table.concat(all, '|', 1, all.n)\n"
    "end\n"
    "local function collect(gmatch, text, pattern, from)\n"
    "  local all = {}\n"
    "  for a, b in gmatch(text, pattern, from) do all[#all + 1] = tostring(a) .. '=' .. "
    "tostring(b) end\n"
    "  return table.concat(all, ',')\n"
    "end\n"
    "local replace_table = { a = 'A', b = 1, ['1'] = false, [''] = '-' }\n"
    "return function(text, pattern, replacement, from)\n"
    "  local said\n"
    "  local function same(what, a, b)\n"
    "    if a ~= b and not said then\n"
    "      said = ('%s %q %q %q %s: %q, not %q'):format(what, text, pattern, replacement, from, a, "
    "b)\n"
    "    end\n"
    "  end\n"
    "  for _, name in ipairs { 'find', 'match' } do\n"
    "    same(name, outcome(ours[name], text, pattern, from), outcome(theirs[name], text, pattern, "
    "from))\n"
    "  end\n"
    "  same('plain', outcome(ours.find, text, pattern, from, true),\n"
    "    outcome(theirs.find, text, pattern, from, true))\n"
    "  same('gmatch', outcome(collect, ours.gmatch, text, pattern, from),\n"
    "    outcome(collect, theirs.gmatch, text, pattern, from))\n"
    "  local function last(...) return (select(-1, ...)) end\n"
    "  for _, by in ipairs { replacement, replace_table, last } do\n"
    "    for _, most in ipairs { 1e6 // 1 | 0, 1, 0, -1 } do\n"
    "      same('gsub', outcome(ours.gsub, text, pattern, by, most),\n"
    "        outcome(theirs.gsub, text, pattern, by, most))\n"
    "    end\n"
    "  end\n"
    "  for _, name in ipairs { 'lower', 'upper', 'reverse' } do\n"
    "    same(name, outcome(ours[name], text), outcome(theirs[name], text))\n"
    "  end\n"
    "  same('rep', outcome(ours.rep, text, from, replacement), outcome(theirs.rep, text, from, "
    "replacement))\n"
    "  return said or true\n"
    "end\n";

/* A trusted state whose stack holds, at 1, the comparing function. */
static struct peri_state *compare_new(void) {
    struct peri_state_options options = { .is_trusted = true };
    struct peri_state *s;
    if (peri_state_new(&s, &options) != PERI_OK) abort();
    lua_State *L = s->L;
    if (luaL_loadstring(L, compare_source) != LUA_OK) abort();
    lua_newtable(L);
    peri_strings_open(L, s);
    lua_getglobal(L, "string");
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return s;
}

/* Compare one set of arguments. gives NULL when all is the same, else what differs (good until the next) */
static const char *compare(struct peri_state *s, struct peri_str text, struct peri_str pattern,
                           struct peri_str replacement, int from) {
    lua_State *L = s->L;
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, text.p, text.n);
    lua_pushlstring(L, pattern.p, pattern.n);
    lua_pushlstring(L, replacement.p, replacement.n);
    lua_pushinteger(L, from);
    if (lua_pcall(L, 4, 1, 0) != LUA_OK || lua_type(L, -1) == LUA_TSTRING)
        return lua_tostring(L, -1);
    return NULL;
}

#endif
