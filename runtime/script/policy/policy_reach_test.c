/* The budget's reach in a router: every function of the sandbox and every member of the objects that hooks are given,
 * found by walking them (a member without a row fails), in each hook, in a file's chunk and in `check`. The rows are in
 * reach_targets_test.h. A call that a policy repeats without end is stopped within twice its CPU time, the log says
 * where, and the other client of the worker is answered meanwhile. */
#include <sys/mman.h>

#include "router/rig_test.h"
#include "script/policy/policy_lua.h"
#include "script/policy/policy_parts.h"
#include "script/policy/reach_targets_test.h"
#include "script/state/task.h"

#define BUDGET_MS 5
#define ENTRY_MS  (REACH_IS_EXACT ? BUDGET_MS : 50)
/* Of the router and the two providers for two requests, which the budget does not bound. */
#define REQUESTS_MS 3
#define LEAVES_MS   (REACH_IS_EXACT ? 2 * BUDGET_MS + REQUESTS_MS : 2000)

#define WHOLE                                                                                      \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"               \
    "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"          \
    "\"finish_reason\":\"stop\"}]}"

/* ---- The members that there are ---- */

struct members {
    bool has[OBJECT_ROWS]; /* by row: it names a member that was found */
    size_t missing;
};

static void find_member(struct members *m, const char *type, const char *between,
                        const char *name) {
    char full[120];
    snprintf(full, sizeof full, "%s%s%s", type, between, name);
    for (size_t i = 0; i < OBJECT_ROWS; i++) {
        if (strcmp(object_rows[i].row.name, full) != 0) continue;
        m->has[i] = true;
        return;
    }
    printf("no row for %s\n", full);
    m->missing++;
}

/* stack: … methods */
static void find_methods(struct members *m, lua_State *L, const char *type) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if (lua_isfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING)
            find_member(m, type, ":", lua_tostring(L, -2));
}

/* Of an object's metatable: what a script can make Lua call, and the methods, which its __index holds in a table of its
 * own. stack: … metatable */
static void find_events(struct members *m, lua_State *L, const char *type) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        const char *event = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        bool is_index = strcmp(event, "__index") == 0;
        if (strcmp(event, "__gc") == 0 || strcmp(event, "__close") == 0) continue;
        if (is_index && lua_istable(L, -1)) find_methods(m, L, type);
        if (!lua_isfunction(L, -1)) continue;
        find_member(m, type, ".", event);
        for (int i = 1; is_index && lua_getupvalue(L, -1, i) != NULL; i++) {
            if (lua_istable(L, -1)) find_methods(m, L, type);
            lua_pop(L, 1);
        }
    }
}

/* Types stand in the registry: by name, or under a key that nobody else has. */
static void find_types(struct members *m, lua_State *L) {
    for (lua_pushnil(L); lua_next(L, LUA_REGISTRYINDEX); lua_pop(L, 1)) {
        if (!lua_istable(L, -1)) continue;
        lua_pushliteral(L, "__name");
        bool is_type = lua_rawget(L, -2) == LUA_TSTRING;
        char type[80];
        snprintf(type, sizeof type, "%s", is_type ? lua_tostring(L, -1) : "");
        lua_pop(L, 1);
        if (is_type) find_events(m, L, type);
    }
}

/* "function Request:try(…)" in the stubs: methods that no metatable holds are there. */
static void find_stubs(struct members *m) {
    FILE *f = fopen("lua/perilune/_meta/policy.lua", "r");
    char line[1024], class[40], method[80];
    if (f == NULL) abort();
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "function %39[A-Za-z]:%79[a-z_](", class, method) != 2) continue;
        const char *type = NULL;
        for (size_t i = 0; i < CLASSES; i++)
            if (strcmp(classes[i].name + strlen("perilune."), class) == 0) type = classes[i].type;
        find_member(m, type != NULL ? type : class, ":", method);
    }
    fclose(f);
}

/* ---- The policy ---- */

/* A request with a large body has time to make ready; the one behind it has the budget alone. */
static const char policy_end[] =
    "local ready, policy = nil, { name = 'reach' }\n"
    "local function objects(body)\n"
    "  local n = body and body.messages or peri.json.document('[{},{}]')\n"
    "  return peri.providers()[1], n\n"
    "end\n"
    "local function run(hook, case, req, o)\n"
    "  local want, form, name = case:match('^(%w+)|(%d)|(.+)$')\n"
    "  if want == 'ready' and hook ~= 'done' then\n"
    "    if not s then prelude() end\n"
    "    document = peri.json.document(json)\n"
    "    ready = rows[name]()\n"
    "  elseif want == hook then\n"
    "    local p, n = objects(req and req.body)\n"
    "    if o and hook == 'attempt' then n = o.body.messages end\n"
    "    ready[tonumber(form)](req, o, p, n)\n"
    "  end\n"
    "end\n"
    "function policy.request(req) run('request', req.body.case, req) end\n"
    "function policy.route(req) run('route', req.body.case, req) end\n"
    "function policy.attempt(req, attempt) run('attempt', req.body.case, req, attempt) end\n"
    "function policy.event(req, event)\n"
    "  if event.data:find('hi', 1, true) then run('event', req.body.case, req, event) end\n"
    "end\n"
    "function policy.answer(req, answer) run('answer', req.body.case, req, answer) end\n"
    "function policy.done(req, outcome) run('done', req.body.case, req, outcome) end\n"
    "function policy.epoch(change) run('epoch', change.network, nil, change) end\n"
    "return policy\n";

static void write_policy(FILE *f, const struct targets *t) {
    fprintf(f, "local peri = require 'perilune'\n" REACH_NAMES "local rows = {}\n");
    fprintf(f, "local function prelude()\n%send\n", reach_prelude);
    for (size_t i = 0; i < t->count; i++) {
        fprintf(f, "rows['%s'] = function()\n%s\nreturn {\n", t->at[i].row.name,
                t->at[i].row.setup);
        for (size_t k = 0; k < REACH_FORMS; k++) {
            fprintf(f, "function(req, o, p, n) ");
            fprintf(f, reach_forms[k], t->at[i].row.call); /* NOLINT: the forms are ours */
            fprintf(f, " end,\n");
        }
        fprintf(f, "} end\n");
    }
    fprintf(f, "%s", policy_end);
}

struct bed {
    struct rig rig;
    struct peri_policy_lua *set;
    struct targets *targets;
    char path[64];
    int log; /* what the policy's component writes */
    int sent, ended, answered;
    bool is_other_answered; /* the client that asks at the same time */
    uint64_t waited_ns;     /* CPU time in the entries of hooks that may wait */
    size_t cases;
    double most_ms;
};

static struct bed *settling; /* settle_entry has no argument of ours */

static void settle_entry(void *host, void *arg, uint64_t spent_ns) {
    settling->waited_ns += spent_ns;
    peri_policy_settle_entry(host, arg, spent_ns);
}

/* `second_ms`: what the policy may use in a second */
static void bed_open(struct bed *b, int second_ms) {
    char settings[400];
    *b = (struct bed){ .path = "/tmp/perilune-reach-XXXXXX", .targets = targets_new() };
    FILE *f = fdopen(mkstemp(b->path), "w");
    if (f == NULL) abort();
    write_policy(f, b->targets);
    fclose(f);
    snprintf(settings, sizeof settings,
             ",\"policies\":[\"%s\"],\"route\":{\"failure_cooldown\":0},\"policy\":{"
             "\"budget\":\"10s\",\"budget_per_mib\":\"%ds\",\"failures\":0,"
             "\"second_budget\":\"%dms\",\"instructions\":1000000000}",
             b->path, REACH_IS_EXACT ? 1 : 10, second_ms);
    rig_open(&b->rig, settings, "", NULL);
    b->set = b->rig.worker->env.policy->self;
    struct peri_state_options *o = &b->set->state->options; /* the file itself may take longer */
    o->entry.cpu_ms = o->load.cpu_ms = ENTRY_MS;
    b->set->spending.entry_ms = ENTRY_MS;
    b->set->spending.request_ms = 4 * ENTRY_MS;
    o->settle = settle_entry;
    settling = b;
    b->log = memfd_create("log", 0);
    peri_log_init(&b->rig.worker->env.logs.whole, b->log, PERI_LOG_ERROR, &peri_clock_real);
    b->rig.worker->env.logs.of[PERI_COMPONENT_POLICY].level = PERI_LOG_ERROR;
}

static void bed_close(struct bed *b) {
    rig_close(&b->rig);
    close(b->log);
    unlink(b->path);
    free(b->targets);
}

static void on_case_head(void *arg, int status, const struct peri_header *headers, size_t count) {
    struct bed *b = arg;
    (void)headers, (void)count;
    b->answered += status == 200;
}

static void on_other_head(void *arg, int status, const struct peri_header *headers, size_t count) {
    struct bed *b = arg;
    (void)headers, (void)count;
    b->is_other_answered = status == 200;
}

static void on_case_end(void *arg, enum peri_err err) {
    struct bed *b = arg;
    (void)err;
    b->ended++;
}

static const struct peri_answer_ops case_ops = { .size = sizeof case_ops,
                                                 .head = on_case_head,
                                                 .end = on_case_end };
static const struct peri_answer_ops other_ops = { .size = sizeof other_ops,
                                                  .head = on_other_head,
                                                  .end = on_case_end };

static void send_case(struct bed *b, const struct peri_answer_ops *ops, bool is_stream,
                      const char *text, size_t padding) {
    struct peri_buf body;
    peri_buf_init(&body, 0);
    peri_buf_addf(&body, "{\"model\":\"m\",\"stream\":%s,\"case\":\"%s\",\"messages\":[{},{}]",
                  is_stream ? "true" : "false", text);
    peri_buf_addf(&body, "%*s}", (int)padding, "");
    CHECK_EQ(
        peri_router_send(NULL, b->rig.router, "/v1/chat/completions", peri_buf_str(&body), ops, b),
        PERI_OK);
    b->sent++;
    peri_buf_done(&body);
}

static void finish(struct bed *b) {
    alarm(60);
    while (b->ended < b->sent) {
        rig_step(&b->rig);
        peri_loop_advance(b->rig.worker->env.loop, 1);
    }
    alarm(0);
}

/* The last lines of it; from then on it is empty. */
static void read_log(struct bed *b, char *out, size_t n) {
    peri_log_flush(&b->rig.worker->env.logs.whole);
    off_t end = lseek(b->log, 0, SEEK_END);
    ssize_t got = pread(b->log, out, n - 1, end >= (off_t)n ? end - (off_t)n + 1 : 0);
    out[got > 0 ? got : 0] = '\0';
    CHECK_EQ(ftruncate(b->log, 0), 0);
    lseek(b->log, 0, SEEK_SET);
}

static void make_ready(struct bed *b, const struct target *t) {
    char text[128], said[4096];
    snprintf(text, sizeof text, "ready|1|%s", t->row.name);
    b->rig.a.script = b->rig.b.script = WHOLE;
    send_case(b, &case_ops, false, text, 300000);
    finish(b);
    read_log(b, said, sizeof said);
    CHECK_STR(peri_str_of(said), "");
}

/* One hook calls the target without end, and another client asks. gives false when it took too long, which may be the
 * machine's fault; what is wrong otherwise is said. */
static bool try_case(struct bed *b, const struct target *t, enum peri_hook hook, size_t form,
                     bool is_last) {
    char text[160], said[8192], named[40];
    const char *name = peri_hook_names[hook];
    bool is_stream = hook == PERI_ON_EVENT;
    struct peri_epoch_change change = { .old_epoch = 1, .new_epoch = 2 };
    snprintf(text, sizeof text, "%s|%zu|%s", name, form + 1, t->row.name);
    b->rig.a.script = b->rig.b.script = is_stream ? SSE ROLE WORD STOP DONE : WHOLE;
    peri_vitals_reset(peri_fleet_provider(b->rig.worker->env.fleet, PERI_STR("a"))->vitals);
    peri_vitals_reset(peri_fleet_provider(b->rig.worker->env.fleet, PERI_STR("b"))->vitals);
    peri_loop_advance(b->rig.worker->env.loop, 1001); /* each says its line */
    b->answered = 0;
    b->is_other_answered = false;
    b->waited_ns = 0;
    double began = reach_clock_ms();
    if (hook == PERI_ON_EPOCH) {
        change.network = peri_str_of(text);
        b->set->ops.epoch(b->set, &change);
    } else {
        send_case(b, &case_ops, is_stream, text, 0);
    }
    send_case(b, &other_ops, is_stream, "none|1|none", 0);
    finish(b);
    double took = reach_clock_ms() - began;
    read_log(b, said, sizeof said);
    snprintf(named, sizeof named, "\"hook\":\"%s\"", name);
    /* What waits between its calls is many entries, and the router's work is beside them. */
    bool waits = (t->waits || strcmp(t->row.name, "perilune.http.fetch") == 0) && form < 2 &&
                 hook <= PERI_ON_ROUTE;
    double spent = waits ? (double)b->waited_ns / 1e6 : took;
    bool is_placed = strstr(said, named) != NULL && strstr(said, b->path) != NULL;
    /* Edits without end may come to the limits of their document first. */
    bool is_refused = strstr(said, "\"error\":\"EBUDGET\"") != NULL ||
                      strstr(said, "the document would outgrow its limits") != NULL;
    /* Tries without end use up how often a request is tried at all: its own route has none left. */
    bool is_answered = t->waits || b->answered == (hook == PERI_ON_EPOCH ? 0 : 1);
    bool is_ended = is_refused && is_placed && is_answered && b->is_other_answered;
    bool is_soon = spent < (waits ? 2 * 4 * ENTRY_MS : LEAVES_MS);
    if (!is_ended || (!is_soon && is_last))
        printf("%s: %.1f ms, %d answered: %.300s\n", text, spent, b->answered,
               said[0] == '\0' ? "nothing was logged" : said);
    CHECK(is_ended);
    if (is_soon && !waits && took > b->most_ms) b->most_ms = took;
    return is_soon;
}

static void check_case(struct bed *b, const struct target *t, enum peri_hook hook, size_t form) {
    bool is_soon = false;
    for (int round = 1; round <= 3 && !is_soon; round++)
        is_soon = try_case(b, t, hook, form, round == 3);
    CHECK(is_soon);
    b->cases++;
}

TEST(every_member_of_an_object_that_hooks_are_given_has_a_row) {
    struct bed b;
    struct members m = { .missing = 0 };
    bed_open(&b, 60000);
    find_types(&m, b.set->state->L);
    find_stubs(&m);
    find_member(&m, "perilune.json", ":", "text"); /* a document has members of any name beside */
    for (size_t i = 0; i < OBJECT_ROWS; i++) {
        if (!m.has[i]) printf("%s: there is no such member\n", object_rows[i].row.name);
        CHECK(m.has[i]);
    }
    CHECK_EQ(m.missing, 0);
    bed_close(&b);
}

TEST(everything_that_a_hook_can_call_is_ended_by_the_budget) {
    struct bed b;
    bed_open(&b, 60000);
    double began = reach_clock_ms();
    for (size_t i = 0; i < b.targets->count; i++) {
        const struct target *t = &b.targets->at[i];
        make_ready(&b, t);
        for (int hook = 0; hook < PERI_HOOK_COUNT; hook++) {
            if ((t->hooks & 1u << hook) == 0) continue;
            for (size_t form = 0; form < REACH_FORMS; form++)
                if (is_chosen(t, i, hook, form)) check_case(&b, t, (enum peri_hook)hook, form);
        }
    }
    printf("%zu cases in %.0f ms of CPU, the longest %.1f ms\n", b.cases, reach_clock_ms() - began,
           b.most_ms);
    bed_close(&b);
}

/* An `epoch` hook is of no request, but the second is its worker's. */
TEST(an_epoch_hook_that_takes_too_much_of_a_second_is_left_out) {
    struct bed b;
    char said[8192];
    struct peri_epoch_change change = { .network = PERI_STR("epoch|1|type") };
    const struct target *t = NULL;
    int second_ms = 3 * ENTRY_MS - 1;
    bed_open(&b, second_ms);
    for (size_t i = 0; i < b.targets->count; i++)
        if (strcmp(b.targets->at[i].row.name, "type") == 0) t = &b.targets->at[i];
    make_ready(&b, t);
    peri_loop_advance(b.rig.worker->env.loop, 1001);
    for (int i = 0; i < 3; i++) b.set->ops.epoch(b.set, &change);
    read_log(&b, said, sizeof said);
    CHECK(strstr(said, "left out for the rest of the second") != NULL);
    b.set->ops.epoch(b.set, &change);
    read_log(&b, said, sizeof said);
    CHECK_STR(peri_str_of(said), "");
    peri_loop_advance(b.rig.worker->env.loop, 1001);
    b.set->ops.epoch(b.set, &change);
    read_log(&b, said, sizeof said);
    CHECK(strstr(said, "EBUDGET") != NULL);
    bed_close(&b);
}

/* ---- Loading ---- */

/* What making a state and the texts of the calls takes, on this machine and in this build, is measured: the budget is
 * above that. */
#define LOAD_MS 15

/* A file that ends with the endless call, in its chunk or in `check`. gives the line that its last function begins in:
 * that of `endless`, or of the call itself */
static unsigned write_loader(const char *path, const struct reach_row *row, size_t form,
                             bool is_check) {
    char text[8192];
    unsigned line = 1;
    int n = snprintf(text, sizeof text, "local peri = require 'perilune'\n" REACH_NAMES "%s",
                     reach_prelude);
    for (int i = 0; i < n - 1; i++) line += text[i] == '\n';
    snprintf(text + n, sizeof text - (size_t)n, "%s\nlocal policy = { name = 'reach' }\n%s\n",
             row->setup, is_check ? "function policy.check()" : "");
    FILE *f = fopen(path, "w");
    if (f == NULL) abort();
    fputs(text, f);
    if (row->call != NULL)
        fprintf(f, reach_forms[form], row->call); /* NOLINT: the forms are ours */
    fprintf(f, "\n%s\nreturn policy\n", is_check ? "end" : "");
    fclose(f);
    return line;
}

static double load_ms(struct bed *b, enum peri_err *err, struct peri_fault *fault) {
    struct peri_policy_source source = peri_policy_lua_source(b->set->home);
    void *program = NULL;
    double began = reach_clock_ms();
    *err = source.load(source.arg, &program, NULL, 0, fault);
    if (*err == PERI_OK) {
        struct peri_policy *policy;
        *err = source.open(source.arg, &policy, program, NULL, 0, fault);
        if (*err == PERI_OK) peri_policy_unref(policy);
        source.drop(source.arg, program);
    }
    return reach_clock_ms() - began;
}

/* Of a file that calls nothing: the longest of some. */
static double empty_load_ms(struct bed *b) {
    static const struct reach_row nothing = { "nothing", "", NULL };
    double most = 0;
    for (int i = 0; i < 5; i++) {
        struct peri_fault fault;
        enum peri_err err;
        write_loader(b->path, &nothing, 0, false);
        double took = load_ms(b, &err, &fault);
        CHECK_EQ(err, PERI_OK);
        if (took > most) most = took;
    }
    return most;
}

/* gives false when it took too long, which may be the machine's fault */
static bool try_load(struct bed *b, const struct reach_row *row, size_t form, bool is_check,
                     double most_ms, bool is_last) {
    struct peri_fault fault = { PERI_OK, "" };
    enum peri_err err;
    unsigned at = 0, line = write_loader(b->path, row, form, is_check);
    double took = load_ms(b, &err, &fault);
    bool is_placed = peri_str_has_prefix(peri_str_of(fault.text), peri_str_of(b->path)) &&
                     sscanf(fault.text + strlen(b->path), ":%u: stopped: it used up its", &at) == 1;
    bool is_good = err == PERI_EBUDGET && is_placed && at >= line;
    if ((!is_good || took >= most_ms) && is_last)
        printf("%s in %s: %.1f of %.1f ms: %s\n", row->name, is_check ? "check" : "the chunk", took,
               most_ms, fault.text);
    return is_good && took < most_ms;
}

TEST(everything_that_a_file_can_call_while_it_loads_is_ended_by_the_budget) {
    struct bed b;
    bed_open(&b, 60000);
    b.set->home->config->policy_budget_ms = 60000;
    double empty_ms = empty_load_ms(&b);
    uint64_t budget_ms = LOAD_MS + 2 * (uint64_t)empty_ms;
    b.set->home->config->policy_budget_ms = budget_ms;
    for (size_t i = 0; i < 2 * REACH_ROWS; i++) {
        bool is_check = i % 2 == 1, is_good = false;
        if (!REACH_IS_EXACT && is_check != (i / 2 % 2 == 1)) continue; /* they take turns */
        for (int round = 1; round <= 3 && !is_good; round++)
            is_good = try_load(&b, &reach_rows[i / 2], (i / 2 + is_check) % REACH_FORMS, is_check,
                               (double)(2 * budget_ms) + 2 * empty_ms, round == 3);
        CHECK(is_good);
    }
    printf("loads: %.1f ms without a call, the budget %d ms\n", empty_ms, (int)budget_ms);
    bed_close(&b);
}
