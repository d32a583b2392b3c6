/* Policies that run out of memory, at every place where they can: whatever hook or wait it is, the request is answered,
 * the process lives, and nothing is lost. The cap of the Lua heap is walked up in the steps that it is counted in; then
 * every allocation of the whole process fails, from the k-th on. */
#include "router/rig_test.h"
#include "script/policy/policy_lua.h"

#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
#define WHOLE                                                                                      \
    JSON "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"     \
         "\"finish_reason\":\"stop\"}]}"

#define ASK_STREAM "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"content\":\"x\"}]}"
#define ASK_WHOLE  "{\"model\":\"m\",\"messages\":[{\"content\":\"x\"}]}"

/* Every hook, every way to wait but the network's own; what each does makes objects of every kind. */
#define PLAIN                                                                                      \
    "local peri = require 'perilune'\n"                                                            \
    "local policy = { name = 'walk' }\n"                                                           \
    "function policy.request(req)\n"                                                               \
    "  req.body.user = 'u' .. req.id\n"                                                            \
    "  req:set_header('x-walk', req.model .. tostring(req.headers['x-none']))\n"                   \
    "  peri.sleep(1)\n"                                                                            \
    "end\n"                                                                                        \
    "function policy.route(req)\n"                                                                 \
    "  for _, provider in ipairs(req:providers()) do\n"                                            \
    "    local answer = req:try(provider, { first_token_ms = 1000 })\n"                            \
    "    if answer then return answer end\n"                                                       \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "function policy.attempt(req, attempt)\n"                                                      \
    "  attempt.body.extra = { 1, { a = attempt.provider.id } }\n"                                  \
    "  attempt.headers['x-a'] = 'b' .. attempt.number\n"                                           \
    "  attempt:set_answer_header('x-c', 'd')\n"                                                    \
    "end\n"                                                                                        \
    "function policy.event(req, event)\n"                                                          \
    "  local json = event.json\n"                                                                  \
    "  if json then json.seen = { event.name } end\n"                                              \
    "end\n"                                                                                        \
    "function policy.answer(req, answer) answer.body.seen = answer.status end\n"                   \
    "function policy.done(req, outcome)\n"                                                         \
    "  peri.shared.add('ends ' .. outcome.status, 1)\n"                                            \
    "end\n"

/* The same in protected calls and their coroutines, which go on after a failure and fail again. */
#define CAUGHT                                                                                     \
    PLAIN "for name, hook in pairs(policy) do\n"                                                   \
          "  if type(hook) == 'function' then\n"                                                   \
          "    policy[name] = function(...)\n"                                                     \
          "      local dead = coroutine.create(error)\n"                                           \
          "      coroutine.resume(dead) pcall(coroutine.resume, dead)\n"                           \
          "      xpcall(hook, function(why) return tostring(why) .. name end, ...)\n"              \
          "      local ok, answer = pcall(hook, ...)\n"                                            \
          "      if ok then return answer end\n"                                                   \
          "    end\n"                                                                              \
          "  end\n"                                                                                \
          "end\n"

/* A hook that does nothing at all still needs a call. */
#define EMPTY                                                                                      \
    "local policy = { name = 'walk' }\n"                                                           \
    "function policy.attempt() end\n"                                                              \
    "function policy.route(req) return (req:try('a')) end\n"

/* A wait on the network, and the tables it gives. */
#define FETCH                                                                                      \
    "local peri = require 'perilune'\n"                                                            \
    "local policy = { name = 'walk' }\n"                                                           \
    "function policy.request(req)\n"                                                               \
    "  local answer, why = peri.http.fetch { url = req:providers()[1].url, headers = { a = 'b' "   \
    "},\n"                                                                                         \
    "    body = 'x' .. req.id, timeout_ms = 5000 }\n"                                              \
    "  if answer then req:set_header('x-walk', answer.headers['content-type']) end\n"              \
    "end\n"

/* Nothing may pass without it. */
#define GUARD                                                                                      \
    "local policy = { name = 'guard', on_failure = 'refuse' }\n"                                   \
    "function policy.request(req) req.body.seen = true end\n"                                      \
    "function policy.answer(req, answer) answer.body.seen = true end\n"

struct bed {
    struct rig rig;
    struct peri_state *state;
    char path[64];
};

static enum peri_fetch_right fetch_anywhere(void *host, struct peri_str url_host, unsigned port) {
    (void)host, (void)url_host, (void)port;
    return PERI_FETCH_ANYWHERE;
}

static void bed_open(struct bed *b, const char *lua, const char *answer) {
    char settings[256];
    snprintf(b->path, sizeof b->path, "/tmp/perilune-walk-XXXXXX");
    int fd = mkstemp(b->path);
    FILE *f = fdopen(fd, "w");
    if (f == NULL) abort();
    fprintf(f, "%sreturn policy\n", lua);
    fclose(f);
    snprintf(settings, sizeof settings,
             ",\"policies\":[\"%s\"],\"policy\":{\"budget\":\"10s\",\"memory\":\"64MiB\"}",
             b->path);
    rig_open(&b->rig, settings, "", NULL);
    b->rig.a.script = b->rig.b.script = answer;
    b->state = ((struct peri_policy_lua *)b->rig.worker->env.policy->self)->state;
    b->state->options.fetch_right = fetch_anywhere;
}

static void bed_close(struct bed *b) {
    rig_close(&b->rig);
    unlink(b->path);
}

static int collect(lua_State *L) { /* protected */
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/* One request, to its end; the last turn frees it. */
static void bed_ask(struct bed *b, const char *body) {
    struct rig *r = &b->rig;
    peri_vitals_reset(peri_fleet_provider(r->worker->env.fleet, PERI_STR("a"))->vitals);
    peri_vitals_reset(peri_fleet_provider(r->worker->env.fleet, PERI_STR("b"))->vitals);
    enum peri_err err = rig_send(r, body);
    for (int turns = 0; err == PERI_OK && r->ends == 0; turns++) {
        rig_step(r);
        peri_loop_advance(r->worker->env.loop, turns > 200 ? 1000 : 1);
    }
    if (err == PERI_OK) CHECK_EQ(r->ends, 1);
    rig_step(r);
    CHECK_EQ(in_flight(r, "a") + in_flight(r, "b"), 0);
    CHECK_EQ(r->worker->env.request_count, 0);
    CHECK_EQ(b->state->waiting_count, 0);
    CHECK(b->state->task == NULL);
}

/* What one request takes at most, without any collection. */
static size_t bed_need(struct bed *b, const char *body) {
    for (int i = 0; i < 3; i++) bed_ask(b, body);
    CHECK_EQ(peri_state_tend(b->state, collect, NULL), PERI_OK);
    lua_gc(b->state->L, LUA_GCSTOP);
    size_t base = b->state->heap_peak = b->state->heap_used;
    bed_ask(b, body);
    lua_gc(b->state->L, LUA_GCRESTART);
    return b->state->heap_peak - base;
}

static void walk_cap(const char *lua, const char *answer, const char *body) {
    struct bed b;
    bed_open(&b, lua, answer);
    size_t need = bed_need(&b, body);
    CHECK(need > 0);
    for (size_t more = 0; more < need + 64; more += 8) {
        b.state->options.heap_max = 0;
        CHECK_EQ(peri_state_tend(b.state, collect, NULL), PERI_OK);
        b.state->options.heap_max = b.state->heap_used + more;
        bed_ask(&b, body);
        CHECK_EQ(b.rig.status, 200);
        CHECK_EQ(b.rig.err, PERI_OK);
    }
    bed_close(&b);
}

TEST(a_full_heap_in_any_hook_leaves_the_request_to_the_route_that_is_built_in) {
    walk_cap(PLAIN, SSE ROLE WORD STOP DONE, ASK_STREAM);
    walk_cap(PLAIN, WHOLE, ASK_WHOLE);
    walk_cap(EMPTY, WHOLE, ASK_WHOLE);
}

TEST(a_full_heap_around_a_fetch_leaves_no_call_behind) { walk_cap(FETCH, WHOLE, ASK_WHOLE); }

TEST(a_full_heap_that_is_caught_is_met_again_and_again) {
    walk_cap(CAUGHT, SSE ROLE WORD STOP DONE, ASK_STREAM);
    walk_cap(CAUGHT, WHOLE, ASK_WHOLE);
}

static void fail_each(const char *lua, const char *answer, const char *body) {
    struct bed b;
    bed_open(&b, lua, answer);
    bed_need(&b, body);
    TEST_EACH_FAILING_ALLOCATION { bed_ask(&b, body); }
    CHECK_EQ(b.rig.status, 200);
    bed_close(&b);
}

TEST(no_memory_in_the_whole_process_ends_requests_and_keeps_nothing) {
    fail_each(PLAIN, SSE ROLE WORD STOP DONE, ASK_STREAM);
    fail_each(CAUGHT, WHOLE, ASK_WHOLE);
    fail_each(FETCH, WHOLE, ASK_WHOLE);
}

TEST(no_memory_lets_nothing_past_a_policy_that_may_not_be_done_without) {
    struct bed b;
    bed_open(&b, GUARD, WHOLE);
    bed_need(&b, ASK_WHOLE);
    TEST_EACH_FAILING_ALLOCATION {
        bed_ask(&b, ASK_WHOLE);
        bool is_served = b.rig.ends == 1 && b.rig.status == 200;
        struct peri_str got = peri_buf_str(&b.rig.got);
        if (is_served && got.n > 0) CHECK(peri_str_find(got, PERI_STR("\"seen\":true")) >= 0);
    }
    CHECK_EQ(b.rig.status, 200);
    bed_close(&b);
}
