/* peri.http.fetch: one request to anywhere, and its whole answer, in a task that waits for it.
 *
 *     local answer, why, code = peri.http.fetch { url = "https://h/v1/models", timeout_ms = 2000 }
 *
 * lua/perilune/_meta/http_client.lua describes it. The task's end, however it comes, ends the request: its socket
 * is closed at once. Each state has a client of its own, made with the first fetch.
 *
 * What a policy fetches is held to more: only addresses of the public internet (asked after name resolution, so
 * a name cannot lead inside), unless the state's options name the host; no insecure TLS; smaller answers.
 */
#ifndef PERI_SCRIPT_BIND_BIND_HTTP_H
#define PERI_SCRIPT_BIND_BIND_HTTP_H

#include "script/state/state.h"

#define PERI_FETCH_OPEN_MAX 64          /* fetches of a policy's state at once */
#define PERI_FETCH_HELD_MAX (32u << 20) /* bytes of their answers, together */

/* Adds `fetch` to the member `http` of the module table on the top, which is made when there is none. */
PERI_RAISES void peri_bind_http_open(lua_State *L, struct peri_state *s);

#endif
