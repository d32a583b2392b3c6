/* What the hooks `attempt`, `event`, `answer` and `done` are given beside `req`. Each object lives as long as its
 * hook runs; afterwards its methods raise "… is over".
 */
#ifndef PERI_SCRIPT_BIND_BIND_HOOK_H
#define PERI_SCRIPT_BIND_BIND_HOOK_H

#include "request/attempt.h"
#include "script/state/state.h"

struct peri_hook_event {
    const struct peri_event *event;
    struct peri_json *json;         /* its data, once a policy looked inside */
    struct peri_json_mark unshaped; /* of json, as it was read */
    struct peri_buf *out;           /* frames that a policy added, or put in its place */
    bool is_dropped, is_replaced;
};

struct peri_hook_answer {
    struct peri_json *json;
    int status;
};

/* Create the metatables; once a state. */
PERI_RAISES void peri_bind_hook_open(lua_State *L, struct peri_state *s);

/* Push an object.
 *   gives   where its pointer stands: set it to NULL when the hook has returned. Good while the object is on the stack */
PERI_RAISES void **peri_bind_attempt_push(lua_State *L, struct peri_attempt *a);
PERI_RAISES void **peri_bind_event_push(lua_State *L, struct peri_hook_event *e);
PERI_RAISES void **peri_bind_answer_push(lua_State *L, struct peri_hook_answer *a);
/* Push a plain table. */
PERI_RAISES void peri_bind_outcome_push(lua_State *L, const struct peri_outcome *o);

#endif
