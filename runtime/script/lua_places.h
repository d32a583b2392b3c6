/* Where the keys of a table stand in Lua source: Lua's tables do not remember it, and a configuration's faults
 * must name a line.
 *
 * This reads tokens, not Lua: it follows the braces of the table that a chunk returns, and of tables that were
 * given a name in it, and takes every other expression as one lump. Source that Lua would refuse gives some
 * places or none, never a failure.
 */
#ifndef PERI_SCRIPT_LUA_PLACES_H
#define PERI_SCRIPT_LUA_PLACES_H

#include "base/arena.h"

/* One table constructor. */
struct peri_lua_places {
    struct peri_lua_place *first, *last;
    struct peri_lua_place **named; /* the last place of each name, by its hash; NULL: none */
    size_t named_capacity, named_count;
    uint32_t line; /* of its opening brace */
};

/* One field of it. */
struct peri_lua_place {
    struct peri_lua_place *next;
    struct peri_lua_place *earlier; /* the last of the same name before it; NULL: none */
    struct peri_str key;            /* a name or a short string; p is NULL for a positional item */
    uint32_t line;
    const struct peri_lua_places *inner; /* when the value is a constructor, or the name of one */
};

/* Views point into `source`, or into the arena.
 *   gives   the constructor that the chunk returns; NULL when none was found or memory ran out */
const struct peri_lua_places *peri_lua_places_read(struct peri_arena *a, struct peri_str source);

/* The last field of that name (Lua's own choice when there are two); NULL when absent or `in` is NULL. */
const struct peri_lua_place *peri_lua_places_find(const struct peri_lua_places *in,
                                                  struct peri_str key);
/* The positional item behind `item`, the first behind NULL; NULL when there is none. */
const struct peri_lua_place *peri_lua_places_item(const struct peri_lua_places *in,
                                                  const struct peri_lua_place *item);

#endif
