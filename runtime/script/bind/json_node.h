/* A part of a JSON document as scripts see it: a proxy whose members are read and edited where they stand. Private to
 * script/bind/bind_json.c. The box is the proxy's user value, so the pointer is good as long as the proxy.
 */
#ifndef PERI_SCRIPT_BIND_JSON_NODE_H
#define PERI_SCRIPT_BIND_JSON_NODE_H

#include "base/json_text.h"
#include "script/bind/json_box.h"

struct peri_json_node {
    struct peri_json_box *box;
    uint32_t at;
};

/* Once a state: the type of proxies. */
PERI_RAISES void peri_json_node_open(lua_State *L);

/* Proxy of a node; the box is at `index`. */
PERI_RAISES void peri_json_push_node(lua_State *L, int index, uint32_t at);
/* A child's value; `arg` is the proxy it belongs to. */
PERI_RAISES void peri_json_push_child(lua_State *L, int arg, struct peri_json *j, uint32_t at);
/* Argument `arg`, which must be a proxy whose part is still there. */
PERI_RAISES struct peri_json_node *peri_json_check_node(lua_State *L, int arg,
                                                        struct peri_json **j);
/* The same of one kind. */
PERI_RAISES struct peri_json_node *peri_json_check_kind(lua_State *L, int arg, struct peri_json **j,
                                                        enum peri_json_kind kind);
/* Functions of Lua, with the proxy as argument 1: its text, and how many members it has. */
PERI_RAISES int peri_json_push_text(lua_State *L);
PERI_RAISES int peri_json_push_count(lua_State *L);

/* JSON text of a Lua value, for one edit. Text that Lua does not hold is freed by peri_json_finish, and between the two
 * nothing may raise. */
struct peri_json_written {
    struct peri_str json;
    struct peri_buf buf;
    char room[PERI_JSON_INT_MAX];
};

PERI_RAISES void peri_json_write_value(lua_State *L, int index, struct peri_json_written *w);
/* What is written takes the memory of its text and some bytes a value. */
PERI_RAISES void peri_json_check_room(lua_State *L, struct peri_json_written *w);
/* The edit gave `err`: raises for it, else charges what was written. */
PERI_RAISES void peri_json_finish(lua_State *L, const struct peri_json_node *n,
                                  struct peri_json_written *w, enum peri_err err);

#endif
