/* What a policy sees of a request: the `req` object and what its methods give.
 *
 * Each is a full userdata holding one pointer. The C object clears it when it ends, so a policy that kept one gets
 * "request is finished" and never a dangling pointer.
 */
#ifndef PERI_SCRIPT_BIND_BIND_REQUEST_H
#define PERI_SCRIPT_BIND_BIND_REQUEST_H

#include "request/attempt.h"
#include "script/policy/policy_standing.h"
#include "script/state/task.h"

struct peri_policy_lua;

enum peri_decision {
    PERI_UNDECIDED, /* no route took it: the built-in one serves */
    PERI_SERVE,
    PERI_REPLY,
};

/* What hooks have made of a request so far, and the way back to that. */
struct peri_policy_mark {
    struct peri_request_mark request;
    struct peri_list *last; /* newest attempt, or the list's head */
    enum peri_decision decision;
    int status;
    struct peri_str reply;
};

/* CPU time in nanoseconds that one policy has used for one request: in all, and in the second of its worker that began
 * then. */
struct peri_link_use {
    uint64_t spent_ns, second_ns, second_spent_ns;
    uint64_t out_until_ns; /* it used what one request may of a second; 0: never */
};

/* The Lua side of one request, in its arena. */
struct peri_lua_request {
    struct peri_policy_lua *set;
    struct peri_request *request;
    struct peri_task *task;         /* while its route waits */
    struct peri_policy_mark before; /* the hook `request` or `route` that runs or waits */
    enum peri_decision decision;
    struct peri_attempt *serve;
    int status;
    struct peri_str reply;
    bool is_refused;               /* a policy has failed that it may not do without: q->guard */
    size_t routed_by;              /* place in the chain of the policy that decided */
    struct peri_attempt *answered; /* a try of the hook that runs went well; NULL: none did */
    struct peri_attempt *trying;   /* and how that try ended: */
    enum peri_err tried;
    size_t charged;            /* bytes of the request's arena that are the policies' */
    uint64_t asked;            /* bits of the policies that saw an attempt, an event or an answer */
    uint64_t failed;           /* and of those that failed */
    uint64_t out;              /* bits of those that used up this request's budget */
    size_t body_bytes;         /* of the request as it came */
    struct peri_link_use *use; /* by policy; NULL: none yet */
    struct peri_link_use use_alone; /* the only policy's */
    uint64_t settled_ns;            /* of this entry, that is in `use` already */
    size_t link;                    /* whose hook of the coroutine runs or waits, */
    enum peri_hook hook;            /* which, */
    uint64_t generation;            /* and of which text */
    unsigned events;                /* that hooks were asked about */
};

/* Create the metatables; once a state. */
PERI_RAISES void peri_bind_request_open(lua_State *L, struct peri_state *s);
/* Push the `req` object of a request: the same one each time. */
PERI_RAISES void peri_bind_request_push(lua_State *L, struct peri_lua_request *r);
/* The request ended: its object is finished, and what it was charged with is given back. */
PERI_RAISES void peri_bind_request_forget(lua_State *L, struct peri_lua_request *r);
/* A hook has returned, and not what a try of it gave: end that try.
 *   gives   whether there was one */
bool peri_bind_request_drop_answer(struct peri_lua_request *r);
/* A script has made the request take memory, or is about to: count it. Raises when all requests of the state hold more
 * than the state's heap may, beside that heap; small requests are not counted. */
PERI_RAISES void peri_bind_request_charge(lua_State *L, struct peri_lua_request *r);
/* The attempt behind what `req:try` gave; NULL when the value is anything else, or of another request. */
struct peri_attempt *peri_bind_answer_attempt(lua_State *L, int index,
                                              const struct peri_request *r);

#endif
