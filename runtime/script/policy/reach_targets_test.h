/* What a policy can call in a router, for the tests of the budget's reach (policy_reach_test.c): methods and metamethods
 * of the objects that hooks are given, their fields, what waits, and every function of the sandbox (state/reach_test.h). */
#ifndef PERI_SCRIPT_POLICY_REACH_TARGETS_TEST_H
#define PERI_SCRIPT_POLICY_REACH_TARGETS_TEST_H

#include "base/test.h"
#include "script/policy/policy_standing.h"
#include "script/state/reach_test.h"

/* In which hooks an object is there. */
enum {
    IN_REQUEST = 1 << PERI_ON_REQUEST,
    IN_ATTEMPT = 1 << PERI_ON_ATTEMPT,
    IN_EVENT = 1 << PERI_ON_EVENT,
    IN_ANSWER = 1 << PERI_ON_ANSWER,
    IN_EPOCH = 1 << PERI_ON_EPOCH,
    IN_ALL = (1 << PERI_HOOK_COUNT) - 1,
    IN_REQUESTS = IN_ALL & ~IN_EPOCH,
    IN_WAITING = IN_REQUEST | 1 << PERI_ON_ROUTE,
};

/* Methods and metamethods: "type:method" and "type.__metamethod", as the walk finds them. `o` is the hook's own object,
 * `p` a provider, `n` a document's array of objects. */
static const struct object_row {
    struct reach_row row;
    unsigned hooks;
} object_rows[] = {
    { { "perilune.request:try", "", "pcall(req.try, req, 'nobody')" }, IN_REQUESTS },
    { { "perilune.request:providers", "", "pcall(req.providers, req)" }, IN_REQUESTS },
    { { "perilune.request:pick", "", "pcall(req.pick, req, { overflow = true })" }, IN_REQUESTS },
    { { "perilune.request:reply", "", "pcall(req.reply, req, 200, list)" }, IN_REQUESTS },
    { { "perilune.request:fail", "", "pcall(req.fail, req, 500, s)" }, IN_REQUESTS },
    { { "perilune.request:header", "", "req:header(s)" }, IN_REQUESTS },
    { { "perilune.request:set_header", "",
        "pcall(req.set_header, req, 'x-a', s:sub(1, 8192)) "
        "pcall(req.set_header, req, s, s)" },
      IN_REQUESTS },
    { { "perilune.request.__index", "", "local _ = req.body, req.model, req.headers" },
      IN_REQUESTS },
    { { "perilune.request.__newindex", "",
        "pcall(function() req.model = s end) "
        "pcall(function() req.model = 'm' end)" },
      IN_REQUESTS },
    { { "perilune.request.__tostring", "", "tostring(req)" }, IN_REQUESTS },
    { { "perilune.answer.__index", "local a",
        "if not a then pcall(function() a = req:try('a') end) end "
        "pcall(function() local _ = a.status end)" },
      1 << PERI_ON_ROUTE },
    { { "perilune.attempt:set_header", "", "pcall(o.set_header, o, 'x-a', s:sub(1, 8192))" },
      IN_ATTEMPT },
    { { "perilune.attempt:set_answer_header", "", "pcall(o.set_answer_header, o, 'x-a', 'b')" },
      IN_ATTEMPT },
    { { "perilune.attempt:refuse", "", "pcall(o.refuse, o, 400, s:sub(1, 10000), s)" },
      IN_ATTEMPT },
    { { "perilune.attempt:expect_content", "", "o:expect_content()" }, IN_ATTEMPT },
    { { "perilune.attempt.__index", "", "local _ = o.headers['x-a'], o.body, o.provider" },
      IN_ATTEMPT },
    { { "perilune.attempt.__newindex", "",
        "pcall(function() o.headers = s end) "
        "pcall(function() o.headers['x-b'] = s end)" },
      IN_ATTEMPT },
    { { "perilune.event:drop", "", "o:drop()" }, IN_EVENT },
    { { "perilune.event:replace", "", "pcall(o.replace, o, document) pcall(o.replace, o, json)" },
      IN_EVENT },
    { { "perilune.event.__index", "", "local _ = o.json, o.data" }, IN_EVENT },
    { { "perilune.event.__newindex", "", "pcall(function() o.data = s end)" }, IN_EVENT },
    { { "perilune.whole_answer.__index", "", "local _ = o.body, o.status" }, IN_ANSWER },
    { { "perilune.whole_answer.__newindex", "", "pcall(function() o.body = s end)" }, IN_ANSWER },
    { { "perilune.provider:model", "", "p:model(s)" }, IN_ALL },
    { { "perilune.provider.__index", "", "local _ = p.models, p.url" }, IN_ALL },
    { { "perilune.provider.__newindex", "", "pcall(function() p.id = s end)" }, IN_ALL },
    { { "perilune.provider.__tostring", "", "tostring(p)" }, IN_ALL },
    { { "perilune.provider.__eq", "", "local _ = p == peri.providers()[1]" }, IN_ALL },
    { { "perilune.json:text", "", "document:text()" }, IN_ALL },
    { { "perilune.json.__index", "", "local _ = n[#n], n[1].absent, document[5000].k5000" },
      IN_ALL },
    { { "perilune.json.__newindex", "", "n[1].a = list n[1].a = nil" }, IN_ALL },
    { { "perilune.json.__len", "", "local _ = #n, #document" }, IN_ALL },
    { { "perilune.json.__pairs", "", "for _ in pairs(document) do end" }, IN_ALL },
    { { "perilune.json.__eq", "", "local _ = n == document, n[1] == n[2]" }, IN_ALL },
    { { "perilune.json.__tostring", "", "tostring(n)" }, IN_ALL },
};
#define OBJECT_ROWS (sizeof object_rows / sizeof *object_rows)

/* What waits: each call is an entry of its own, and the budget of a request ends them. The coroutine of a script can not
 * wait, which is said and caught. */
static const struct object_row waiting_rows[] = {
    { { "waits: req:try", "", "pcall(req.try, req, 'a')" }, IN_WAITING },
    { { "waits: req:try of many", "",
        "for _, each in ipairs(req:providers()) do\n"
        "pcall(req.try, req, each, { model = 'm' }) end" },
      IN_WAITING },
    { { "waits: peri.sleep", "", "pcall(peri.sleep, 0)" }, IN_WAITING },
    { { "waits: peri.http.fetch", "", "pcall(peri.http.fetch, { url = 'http://127.0.0.1:1/' })" },
      IN_WAITING },
};
#define WAITING_ROWS (sizeof waiting_rows / sizeof *waiting_rows)

/* Fields, from the stubs: read without end. Their methods, from there and from the metatables, have rows. */
static const struct field_class {
    const char *name, *type, *variable;
    unsigned hooks;
} classes[] = {
    { "perilune.Request", "perilune.request", "req", IN_REQUESTS },
    { "perilune.Provider", "perilune.provider", "p", IN_REQUEST | IN_EPOCH },
    { "perilune.Attempt", "perilune.attempt", "o", IN_ATTEMPT },
    { "perilune.Event", "perilune.event", "o", IN_EVENT },
    { "perilune.WholeAnswer", "perilune.whole_answer", "o", IN_ANSWER },
    { "perilune.Outcome", NULL, "o", 1 << PERI_ON_DONE },
    { "perilune.EpochChange", NULL, "o", IN_EPOCH },
};
#define CLASSES (sizeof classes / sizeof *classes)

/* One thing to be called. Its text may hold an own name. */
struct target {
    struct reach_row row;
    unsigned hooks;
    bool has_every_form; /* in every hook; else the forms take turns */
    bool waits;
    char name[80], call[120];
};

struct targets {
    struct target at[512];
    size_t count;
};

static struct target *add(struct targets *t, struct reach_row row, unsigned hooks) {
    if (t->count == sizeof t->at / sizeof *t->at) abort();
    struct target *made = &t->at[t->count++];
    *made = (struct target){ .row = row, .hooks = hooks };
    return made;
}

static void add_field(struct targets *t, const struct field_class *c, struct peri_str field) {
    struct target *made = add(t, (struct reach_row){ .setup = "" }, c->hooks);
    snprintf(made->name, sizeof made->name, "%s.%.*s", c->name, PERI_STR_ARGS(field));
    snprintf(made->call, sizeof made->call, "local _ = %s.%.*s", c->variable, PERI_STR_ARGS(field));
    made->row.name = made->name;
    made->row.call = made->call;
}

/* A sanitizer makes each case some ten times as long: there every target has one hook and one form, which take turns. */
static bool is_chosen(const struct target *t, size_t i, int hook, size_t form) {
    if (REACH_IS_EXACT) return t->has_every_form || form == (i + (size_t)hook) % REACH_FORMS;
    size_t nth = i % (size_t)__builtin_popcount(t->hooks);
    for (int h = 0; h < hook; h++) nth -= (t->hooks & 1u << h) != 0;
    return nth == 0 && form == i % REACH_FORMS;
}

/* From lua/perilune/_meta/policy.lua: "---@class NAME", "---@field NAME …". */
static void add_fields(struct targets *t) {
    FILE *f = fopen("lua/perilune/_meta/policy.lua", "r");
    char line[1024];
    const struct field_class *class = NULL;
    size_t before = t->count;
    if (f == NULL) abort();
    while (fgets(line, sizeof line, f) != NULL) {
        char name[80];
        if (sscanf(line, "---@class %79s", name) == 1) {
            class = NULL;
            for (size_t i = 0; i < CLASSES; i++)
                if (strcmp(classes[i].name, name) == 0) class = &classes[i];
        } else if (class != NULL && sscanf(line, "---@field %79[a-z_0-9]", name) == 1) {
            add_field(t, class, peri_str_of(name));
        }
    }
    fclose(f);
    CHECK(t->count > before + 40);
}

static struct targets *targets_new(void) {
    struct targets *t = calloc(1, sizeof *t);
    for (size_t i = 0; i < OBJECT_ROWS; i++) {
        struct target *made = add(t, object_rows[i].row, object_rows[i].hooks);
        made->has_every_form = true;
    }
    for (size_t i = 0; i < WAITING_ROWS; i++) {
        struct target *made = add(t, waiting_rows[i].row, waiting_rows[i].hooks);
        made->has_every_form = made->waits = true;
    }
    for (size_t i = 0; i < REACH_ROWS; i++) add(t, reach_rows[i], IN_ALL);
    add_fields(t);
    return t;
}

#endif
