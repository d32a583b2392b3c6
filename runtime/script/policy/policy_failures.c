/* What a hook that failed means: its edits are taken back, it is said, and the request goes on or ends. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "router/worker.h"
#include "script/policy/policy_parts.h"

const char *const peri_hook_names[PERI_HOOK_COUNT] = {
#define HOOK_NAME(name, text) text,
    PERI_HOOK_MAP(HOOK_NAME)
#undef HOOK_NAME
};

#define PLACES_MAX 64 /* frames that are looked through for one of Lua */
#define SECOND_MS  1000
#define LINES_MAX  8 /* a second, of one hook on one worker, that say different things */

/* ---- Savepoints ---- */

struct peri_policy_mark peri_policy_mark(const struct peri_lua_request *r) {
    return (struct peri_policy_mark){ peri_request_mark(r->request), r->request->attempts.prev,
                                      r->decision, r->status, r->reply };
}

/* Answers that nobody is going to serve: their providers may be asked again. */
static void let_go(struct peri_request *q, const struct peri_list *last) {
    for (struct peri_list *at = last->next; at != &q->attempts; at = at->next) {
        struct peri_attempt *a = peri_list_entry(at, struct peri_attempt, link);
        if (a->state != PERI_ATTEMPT_READY) continue;
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

static uint64_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (; *text != '\0'; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* A hook that fails at every event of every stream must not fill the disk. */
static bool may_say(struct peri_policy_said *said, uint64_t now_ms, const char *text) {
    uint64_t hash = hash_of(text);
    bool is_new_second = said->since_ms == 0 || now_ms - said->since_ms >= SECOND_MS;
    if (!is_new_second && (hash == said->hash || said->lines >= LINES_MAX)) {
        said->held++;
        return false;
    }
    if (is_new_second) said->since_ms = now_ms > 0 ? now_ms : 1, said->lines = 0;
    said->lines++;
    said->hash = hash;
    return true;
}

/* Where the failure was raised; for want of memory no handler was called, and the hook itself must do. */
static void take_place(struct peri_policy_lua *set, const struct peri_link *link,
                       enum peri_hook hook) {
    if (set->place[0] == '\0' && link != NULL && hook < PERI_HOOK_COUNT)
        snprintf(set->place, sizeof set->place, "%.200s:%d", link->file.p, link->lines[hook]);
}

static void put_failure(struct peri_log *log, const struct peri_policy_lua *set,
                        const struct peri_link *link, enum peri_hook hook, uint64_t generation,
                        const struct peri_fault *f) {
    if (link != NULL) peri_log_str(log, "policy", link->name);
    if (hook < PERI_HOOK_COUNT) peri_log_str(log, "hook", peri_str_of(peri_hook_names[hook]));
    if (set->place[0] != '\0') peri_log_str(log, "at", peri_str_of(set->place));
    peri_log_str(log, "error", peri_str_of(peri_err_name(f->err)));
    peri_log_str(log, "detail", peri_str_of(f->text));
    peri_log_int(log, "generation", (int64_t)generation);
}

static void write_line(struct peri_policy_lua *set, struct peri_policy_said *said,
                       const struct peri_link *link, enum peri_hook hook, uint64_t generation,
                       const struct peri_request *q, const struct peri_fault *f) {
    struct peri_log *log = &set->worker->env.logs.of[PERI_COMPONENT_POLICY];
    if (said != NULL && !may_say(said, peri_loop_now_ms(set->worker->env.loop), f->text)) return;
    if (!peri_log_begin(log, PERI_LOG_ERROR, "policy failed")) return;
    put_failure(log, set, link, hook, generation, f);
    if (q != NULL) peri_log_str(log, "request_id", peri_request_id(q));
    if (said != NULL && said->held > 0) peri_log_int(log, "held_back", said->held);
    if (said != NULL) said->held = 0;
    peri_log_end(log);
}

void peri_policy_say_fall(struct peri_policy_lua *set, const struct peri_link *link,
                          enum peri_hook hook, const struct peri_fault *f) {
    struct peri_log *log = &set->worker->env.logs.of[PERI_COMPONENT_POLICY];
    bool has_earlier = peri_policy_state_of(link->standing) == PERI_POLICY_FELL_BACK;
    peri_policy_standing_note(link->standing, peri_clock_wall_ns(set->worker->runtime->clock),
                              hook < PERI_HOOK_COUNT ? peri_hook_names[hook] : NULL, set->place, f);
    const char *what = has_earlier      ? "policy went back to its last generation that worked"
                       : link->is_guard ? "policy refuses every request until its file changes"
                                        : "policy is left out until its file changes";
    if (!peri_log_begin(log, PERI_LOG_ERROR, what)) return;
    put_failure(log, set, link, hook, link->generation, f);
    if (hook < PERI_HOOK_COUNT)
        peri_log_int(log, "failures", set->worker->env.config->policy_failures);
    if (has_earlier) peri_log_int(log, "back_to", (int64_t)link->standing->earlier->generation);
    peri_log_end(log);
}

/* ---- What follows ---- */

void peri_policy_refuse(const struct peri_link *link, struct peri_request *q) {
    struct peri_lua_request *r = q->task;
    if (r != NULL) r->is_refused = true;
    q->guard = link->name;
    q->outcome.has_policy_error = true;
}

/* Out of memory is nobody's fault; and one request, however many events it has, is one failure. */
static bool counts(const struct peri_request *q, size_t link, const struct peri_fault *fault) {
    struct peri_lua_request *r = q == NULL ? NULL : q->task;
    if (fault->err != PERI_EPOLICY && fault->err != PERI_EBUDGET) return false;
    if (r == NULL) return true;
    uint64_t bit = peri_link_bit(link);
    bool is_first = (r->failed & bit) == 0;
    r->failed |= bit;
    return is_first;
}

/* Of the text that failed: a hook that waited may have begun before that policy went back to another. */
static uint64_t generation_of(const struct peri_link *link, enum peri_hook hook,
                              const struct peri_request *q) {
    const struct peri_lua_request *r = q == NULL ? NULL : q->task;
    bool may_wait = hook == PERI_ON_REQUEST || hook == PERI_ON_ROUTE;
    return r != NULL && may_wait ? r->generation : link->generation;
}

bool peri_policy_failed(struct peri_policy_lua *set, size_t link, enum peri_hook hook,
                        struct peri_request *q, const struct peri_fault *fault) {
    struct peri_link *l = &set->links[link];
    uint64_t generation = generation_of(l, hook, q);
    take_place(set, l, hook);
    write_line(set, &l->said[hook], l, hook, generation, q, fault);
    unsigned max = set->worker->env.config->policy_failures;
    if (generation == l->generation && counts(q, link, fault) &&
        peri_policy_standing_failed(l->standing, hook, l->state, max, set->state->is_over_cap)) {
        atomic_fetch_add(&set->home->falls, 1);
        peri_policy_say_fall(set, l, hook, fault);
    }
    set->place[0] = '\0';
    if (q == NULL) return true;
    q->outcome.has_policy_error = true;
    if (!l->is_guard || hook == PERI_ON_DONE) return true;
    peri_policy_refuse(l, q);
    return false;
}

bool peri_policy_failed_all(struct peri_policy_lua *set, enum peri_hook hook,
                            struct peri_request *q, const struct peri_fault *fault) {
    write_line(set, NULL, NULL, hook, set->policy.generation, q, fault);
    if (q == NULL) return true;
    q->outcome.has_policy_error = true;
    for (size_t i = 0; i < set->count && hook != PERI_ON_DONE; i++) {
        if (!set->links[i].is_guard) continue;
        peri_policy_refuse(&set->links[i], q);
        return false;
    }
    return true;
}

bool peri_policy_renew_budget(struct peri_policy_lua *set, lua_State *L) {
    struct peri_budget *budget = &set->state->budget;
    if (peri_budget_end(budget) == PERI_BUDGET_LEFT) return false;
    peri_budget_leave(budget);
    peri_budget_enter(budget, L);
    set->state->is_over_cap = false;
    return true;
}
