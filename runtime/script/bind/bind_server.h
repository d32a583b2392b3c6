/* peri.http.serve: an HTTP server whose handler is Lua, for trusted scripts (simulations, specs, tools).
 *
 *     local server = peri.http.serve { listen = "127.0.0.1:0", handler = function(x)
 *       x:reply(200, { ["content-type"] = "text/plain" }, "you asked for " .. x.path)
 *     end }
 *     print(server.port)
 *
 * Every request runs the handler in a task of its own; lua/perilune/_meta/http_server.lua describes the rest. What
 * was asked is copied into the exchange's object, so it can be read at any time, also after the client left.
 * An exchange that its handler leaves open is ended, and one whose handler fails before the answer has started is
 * answered with status 500.
 */
#ifndef PERI_SCRIPT_BIND_BIND_SERVER_H
#define PERI_SCRIPT_BIND_BIND_SERVER_H

#include "script/state/state.h"

/* Adds `serve` to the member `http` of the module table on the top, which is made when there is none. */
PERI_RAISES void peri_bind_server_open(lua_State *L, struct peri_state *s);

/* For bind_server.c and bind_exchange.c only. */

#define PERI_SERVER_TYPE   "perilune.http_server"
#define PERI_EXCHANGE_TYPE "perilune.http_exchange"

struct peri_exchange;
struct peri_task;
struct peri_lua_server;

/* The state and the handler of the server that an exchange came from. */
struct peri_state *peri_lua_server_state(const struct peri_lua_server *server);
PERI_RAISES void peri_lua_server_push_handler(lua_State *L, const struct peri_lua_server *server);

/* A request has come: make its object and run the handler. From the loop. */
void peri_lua_exchange_begin(struct peri_lua_server *server, struct peri_exchange *x);
/* Its client left. `is_closing`: the interpreter is, so no Lua runs. */
void peri_lua_exchange_gone(struct peri_exchange *x, bool is_closing);
void peri_lua_exchange_drained(struct peri_exchange *x);
/* Register the exchange's metatable. */
PERI_RAISES void peri_lua_exchange_open(lua_State *L, struct peri_state *s);

#endif
