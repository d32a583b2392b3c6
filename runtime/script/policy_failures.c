/* What a hook that failed means: its edits are taken back, it is said, and the request goes on or ends. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "core/worker.h"
#include "script/policy_parts.h"

const char *const peri_hook_names[PERI_HOOK_COUNT] = { "request", "route", "attempt", "event",
                                                       "answer",  "done",  "epoch" };

#define PLACES_MAX 64 /* frames that are looked through for one of Lua */

/* ---- Savepoints ---- */

struct peri_policy_mark peri_policy_mark(const struct peri_lua_request *r) {
    return (struct peri_policy_mark){ peri_request_mark(r->request), r->request->attempts.prev,
                                      r->decision, r->status, r->reply };
}

/* Answers that nobody is going to serve: whoever gave one may be asked again. */
static void let_go(struct peri_request *q, const struct peri_list *last) {
    for (struct peri_list *at = last->next; at != &q->attempts; at = at->next) {
        struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        if (a->state != PERI_READY) continue;
        peri_attempt_cancel(a, PERI_ECANCELED);
        if (q->tried != NULL) q->tried[a->candidate.provider->index] = false;
    }
}

void peri_policy_rollback(struct peri_lua_request *r, const struct peri_policy_mark *mark) {
    peri_request_rollback(r->request, &mark->request);
    if (r->request->phase == PERI_DECIDING) let_go(r->request, mark->last);
    r->decision = mark->decision;
    r->status = mark->status;
    r->reply = mark->reply;
}

/* ---- Saying ---- */

int peri_policy_keep_place(lua_State *L) {
    struct peri_policy_lua *set = peri_state_of(L)->host;
    lua_Debug at;
    set->place[0] = '\0';
    for (int level = 1; level < PLACES_MAX && lua_getstack(L, level, &at) != 0; level++) {
        if (lua_getinfo(L, "Sl", &at) == 0 || at.currentline <= 0) continue;
        snprintf(set->place, sizeof set->place, "%.200s:%d",
                 at.source[0] == '@' ? at.source + 1 : at.short_src, at.currentline);
        break;
    }
    return 1;
}

static void write_line(struct peri_policy_lua *set, const struct peri_link *link,
                       enum peri_hook hook, const struct peri_request *q,
                       const struct peri_fault *f) {
    struct peri_log *log = &set->worker->logs.of[PERI_COMPONENT_POLICY];
    char place[sizeof set->place] = "";
    memcpy(place, set->place, sizeof place);
    set->place[0] = '\0';
    if (!peri_log_begin(log, PERI_LOG_ERROR, "policy failed")) return;
    if (link != NULL) {
        if (place[0] == '\0') /* memory ran out: no handler was called */
            snprintf(place, sizeof place, "%.200s:%d", link->file.p, link->lines[hook]);
        peri_log_str(log, "policy", link->name);
    }
    peri_log_str(log, "hook", peri_str_of(peri_hook_names[hook]));
    if (place[0] != '\0') peri_log_str(log, "at", peri_str_of(place));
    if (q != NULL) peri_log_str(log, "request_id", peri_request_id(q));
    peri_log_str(log, "error", peri_str_of(peri_err_name(f->err)));
    peri_log_str(log, "detail", peri_str_of(f->text));
    peri_log_int(log, "generation", (int64_t)set->policy.generation);
    peri_log_end(log);
}

/* ---- What follows ---- */

static bool refuse(const struct peri_link *link, struct peri_request *q) {
    struct peri_lua_request *r = q->task;
    if (r != NULL) r->is_refused = true;
    q->guard = link->name;
    return false;
}

bool peri_policy_failed(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                        struct peri_request *q, const struct peri_fault *fault) {
    const struct peri_link *l = &set->links[link];
    write_line(set, l, hook, q, fault);
    if (q == NULL) return true;
    q->outcome.has_policy_error = true;
    return l->is_guard && hook != PERI_ON_DONE ? refuse(l, q) : true;
}

bool peri_policy_failed_all(struct peri_policy_lua *set, enum peri_hook hook,
                            struct peri_request *q, const struct peri_fault *fault) {
    write_line(set, NULL, hook, q, fault);
    if (q == NULL) return true;
    q->outcome.has_policy_error = true;
    for (size_t i = 0; i < set->count && hook != PERI_ON_DONE; i++)
        if (set->links[i].is_guard) return refuse(&set->links[i], q);
    return true;
}

void peri_policy_renew_budget(struct peri_policy_lua *set, lua_State *L) {
    struct peri_budget *budget = &set->state->budget;
    if (peri_budget_end(budget) == PERI_BUDGET_LEFT) return;
    peri_budget_leave(budget);
    peri_budget_enter(budget, L);
    set->state->is_over_cap = false;
}
