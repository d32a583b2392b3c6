/* Ten thousand requests whose policies are stopped, raise, wait, reply twice and keep what they are lent, some of whose
 * clients leave: afterwards everything is back to where it was. */
#include <dirent.h>

#include "base/mem.h"
#include "base/shared.h"
#include "router/rig_test.h"
#include "script/policy/policy_lua.h"
#include "script/state/task.h"

#define REQUESTS   10000
#define AT_A_TIME  50
#define WARM       1000 /* requests after which pools, caches and the ring of what is kept are full */
#define HEAP_SLACK 65536

/* What a request asks the policy to do; each hook has its own way to go wrong. */
static const char *const kinds[] = {
    "good", "raise", "raise_late", "loop",   "loop_late", "twice",   "keep",
    "wait", "leave", "no_answer",  "wrong",  "caught",    "attempt", "event",
    "done", "hoard", "thread",     "refuse", "late_try",  "share",
};
#define KINDS (sizeof kinds / sizeof *kinds)

static const char policy_text[] =
    "local peri = require 'perilune'\n"
    "local policy = { name = 'crowd' }\n"
    "local kept, at = {}, 0\n"
    "local function keep(object) at = at % 300 + 1 kept[at] = object end\n"
    "local function poke() for i = 1, 300, 37 do pcall(function() return kept[i].body end) end "
    "end\n"
    "local way = {}\n"
    "function way.raise() error('on purpose') end\n"
    "function way.raise_late() peri.sleep(3) error({}) end\n"
    "function way.loop() while true do end end\n"
    "function way.loop_late() peri.sleep(2) while true do pcall(error) end end\n"
    "function way.twice(req) req:reply(200, { n = 1 }) req:fail(404, 'no') req:reply(201, { n = 2 "
    "}) end\n"
    "function way.keep(req) keep(req) keep(req.body) keep(req.headers) keep(req:providers()) end\n"
    "function way.wait() peri.sleep(5) peri.sleep(1) end\n"
    "function way.leave() peri.sleep(1000) end\n"
    "function way.caught() pcall(error, 'x') xpcall(error, function() error 'y' end) end\n"
    "function way.hoard() local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(100) .. i end end\n"
    "function way.thread() keep(coroutine.running()) peri.sleep(1)\n"
    "  for i = 1, 300 do if type(kept[i]) == 'thread' then coroutine.resume(kept[i]) end end end\n"
    "function way.share(req) peri.shared.set('crowd ' .. req.id, ('x'):rep(100), 1) end\n"
    "function policy.request(req)\n"
    "  poke()\n"
    "  local run = way[req.body.user]\n"
    "  if run then run(req) end\n"
    "end\n"
    "function policy.route(req)\n"
    "  local kind = req.body.user\n"
    "  if kind == 'no_answer' then req:try('a') return nil end\n"
    "  if kind == 'wrong' then return 42 end\n"
    "  if kind == 'late_try' then local answer = req:try('a') peri.sleep(2) keep(answer) return "
    "answer end\n"
    "  if kind == 'refuse' then req:try('a') req:try('b') return (req:try('a')) end\n"
    "end\n"
    "function policy.attempt(req, attempt)\n"
    "  local kind = req.body.user\n"
    "  attempt.body.seen = { kind }\n"
    "  if kind == 'attempt' then keep(attempt) keep(attempt.body) error('attempt') end\n"
    "  if kind == 'refuse' and attempt.number == 1 then attempt:refuse(422, 'no') end\n"
    "end\n"
    "function policy.event(req, event)\n"
    "  local kind = req.body.user\n"
    "  if event.json then event.json.seen = true end\n"
    "  if kind == 'event' then keep(event) keep(event.json) error('event') end\n"
    "end\n"
    "function policy.done(req, outcome)\n"
    "  peri.shared.add('crowd', 1)\n"
    "  if req.body.user == 'done' then keep(req.body) error('done') end\n"
    "end\n"
    "return policy\n";

struct crowd {
    struct rig rig;
    char path[64];
    struct peri_policy_lua *set;
    int sent, ended;
};

static void on_crowd_end(void *arg, enum peri_err err) {
    struct crowd *c = arg;
    (void)err;
    c->ended++;
}

static const struct peri_answer_ops crowd_ops = { .size = sizeof crowd_ops, .end = on_crowd_end };

static void crowd_open(struct crowd *c) {
    char settings[400];
    *c = (struct crowd){ .path = "/tmp/perilune-crowd-XXXXXX" };
    FILE *f = fdopen(mkstemp(c->path), "w");
    if (f == NULL) abort();
    fputs(policy_text, f);
    fclose(f);
    snprintf(settings, sizeof settings,
             ",\"policies\":[\"%s\"],\"route\":{\"failure_cooldown\":0},"
             "\"policy\":{\"instructions\":20000,\"memory\":\"4MiB\",\"failures\":0,"
             "\"request_budget\":\"60s\",\"second_budget\":\"60s\"}",
             c->path);
    rig_open(&c->rig, settings, "", NULL);
    c->set = c->rig.worker->env.policy->self;
}

/* Clients of requests that wait without end leave. */
static void hang_up(struct crowd *c) {
    struct peri_list *at, *spare;
    peri_list_each(at, spare, &c->rig.worker->env.requests) {
        struct peri_request *r = peri_list_entry(at, struct peri_request, link);
        peri_request_abandon(r, PERI_ECANCELED);
    }
}

static void crowd_run(struct crowd *c, int until) {
    char body[160];
    while (c->sent < until) {
        for (int i = 0; i < AT_A_TIME; i++, c->sent++) {
            int n = snprintf(body, sizeof body,
                             "{\"model\":\"m\",\"stream\":%s,\"user\":\"%s\",\"messages\":[]}",
                             c->sent / (int)KINDS % 2 == 0 ? "true" : "false",
                             kinds[(size_t)c->sent % KINDS]);
            CHECK_EQ(peri_router_send(NULL, c->rig.router, "/v1/chat/completions",
                                      (struct peri_str){ body, (size_t)n }, &crowd_ops, c),
                     PERI_OK);
        }
        alarm(120);
        for (int turn = 0; turn < 60; turn++) {
            rig_step(&c->rig);
            if (turn % 4 == 0) peri_loop_advance(c->rig.worker->env.loop, 1);
        }
        hang_up(c);
        rig_step(&c->rig);
        CHECK_EQ(c->ended, c->sent);
    }
}

static int collect(lua_State *L) { /* protected */
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT); /* what finalisers let go of in the first one */
    return 0;
}

struct levels {
    size_t heap, native, waiting, tasks, requests, calls, slots, descriptors, resident;
};

static size_t count_descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;
    while (d != NULL && readdir(d) != NULL) n++;
    closedir(d);
    return n;
}

static size_t resident_bytes(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%*u %lu", &pages) != 1) abort();
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct levels crowd_levels(struct crowd *c) {
    struct peri_state *s = c->set->state;
    struct peri_worker *w = c->rig.worker;
    CHECK_EQ(peri_state_tend(s, collect, NULL), PERI_OK);
    return (struct levels){
        .heap = s->heap_used,
        .native = s->native_used,
        .waiting = s->waiting_count,
        .tasks = s->idle_count,
        .requests = w->env.request_count,
        .calls = peri_client_open_calls(w->env.client),
        .slots = in_flight(&c->rig, "a") + in_flight(&c->rig, "b"),
        .descriptors = count_descriptors(),
        .resident = resident_bytes(),
    };
}

TEST(ten_thousand_requests_of_policies_that_misbehave_leave_nothing_behind) {
    struct crowd c;
    crowd_open(&c);
    crowd_run(&c, WARM);
    struct levels before = crowd_levels(&c);
    crowd_run(&c, REQUESTS);
    struct levels after = crowd_levels(&c);
    /* A policy that takes too much is left out for a while; nearly all were seen to their end. */
    struct peri_shared_value seen;
    char room[PERI_SHARED_TEXT_MAX];
    peri_shared_get(c.set->state->shared, &seen, room, PERI_STR("crowd"));
    CHECK(seen.integer > REQUESTS / 2);
    CHECK_EQ(after.waiting, 0);
    CHECK_EQ(after.native, 0);
    CHECK_EQ(after.requests, 0);
    CHECK_EQ(after.calls, 0);
    CHECK_EQ(after.slots, 0);
    CHECK(after.tasks <= PERI_TASK_POOL_MAX);
    CHECK_EQ(after.descriptors, before.descriptors);
    CHECK(after.heap < before.heap + HEAP_SLACK);
    if (PERI_KEEPS_MEMORY) CHECK(after.resident < before.resident + (8u << 20));
    /* a share of 10,000 names that live for 1 ms is not filled by them */
    CHECK(peri_shared_bytes(c.set->state->shared) < 262144);
    rig_close(&c.rig);
    unlink(c.path);
}
