/* Lua text made by the bytes of a fuzz input: policies that call whatever there is to call, with whatever is at hand.
 *
 * What there is comes from a running state, so that a function that is added is called, too: functions are found by walking
 * the globals and the module `perilune`, methods in the metatables of the registry, fields in the stubs that editors read
 * (lua/perilune/_meta, which the architecture spec holds complete).
 *
 * A policy keeps values across its calls in `k`, has its own in `v`, and gets its hook's arguments as `a` and `b`. Most calls are
 * made under pcall, so that one that raises does not hide what stands behind it.
 */
#ifndef PERI_SCRIPT_FUZZ_LUA_H
#define PERI_SCRIPT_FUZZ_LUA_H

#include <string.h>

#include "script/fuzz_feed.h"
#include "script/state/state.h"

#define LUA_NAMES_MAX 512
#define LUA_TEXT_MAX  12000 /* bytes after which only the plainest is added */

struct names {
    char text[LUA_NAMES_MAX][48];
    size_t count;
};

struct api {
    struct names functions, methods, fields;
};

/* ---- What there is ---- */

static inline void names_add(struct names *list, struct peri_str name) {
    if (name.n == 0 || name.n >= sizeof list->text[0] || list->count == LUA_NAMES_MAX) return;
    char *text = list->text[list->count];
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->text[i], text) == 0) return;
    list->count++;
}

static inline int names_compare(const void *a, const void *b) { return strcmp(a, b); }

/* The same order in every run. */
static inline void names_sort(struct names *list) {
    qsort(list->text, list->count, sizeof list->text[0], names_compare);
}

static inline void add_words(struct names *list, struct peri_str words) {
    struct peri_str word;
    while (peri_str_cut(&word, &words, ' ')) names_add(list, word);
}

static const char api_walk[] =
    "local out = {}\n"
    "local function walk(t, path, depth)\n"
    "  for name, value in pairs(t) do\n"
    "    if type(value) == 'function' then out[#out + 1] = path .. name\n"
    "    elseif type(value) == 'table' and value ~= _G and depth < 4 then\n"
    "      walk(value, path .. name .. '.', depth + 1)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "walk(_G, '', 0) walk(require 'perilune', 'peri.', 0)\n"
    "return table.concat(out, ' ')\n";

/* The names in the table on the top that stand for functions. */
static inline void add_methods(lua_State *L, struct names *list) {
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1))
            names_add(list, peri_str_of(lua_tostring(L, -2)));
}

static inline int find_methods(lua_State *L) {
    struct names *list = lua_touserdata(L, 1);
    for (lua_pushnil(L); lua_next(L, LUA_REGISTRYINDEX) != 0; lua_settop(L, 2)) {
        /* stack: list key metatable */
        if (lua_type(L, 2) != LUA_TSTRING || !lua_istable(L, 3)) continue;
        if (strncmp(lua_tostring(L, 2), "perilune.", 9) != 0) continue;
        int type = lua_getfield(L, 3, "__index");
        if (type == LUA_TTABLE) add_methods(L, list);
        for (int i = 1; type == LUA_TFUNCTION && lua_getupvalue(L, 4, i) != NULL;
             lua_pop(L, 1), i++)
            if (lua_istable(L, -1)) add_methods(L, list);
    }
    return 0;
}

static inline void find_functions(struct peri_state *s, struct names *list) {
    int ref;
    struct peri_fault fault;
    enum peri_err err = peri_state_load(s, &ref, "walk", peri_str_of(api_walk), &fault);
    if (err != PERI_OK) fprintf(stderr, "%s\n", fault.text);
    demand(err == PERI_OK);
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, ref);
    add_words(list, peri_str_of(lua_tostring(s->L, -1)));
    lua_pop(s->L, 1);
    luaL_unref(s->L, LUA_REGISTRYINDEX, ref);
}

/* `---@field name? type`, in every stub. */
static inline void find_fields(struct names *list, const char *path) {
    static const char mark[] = "---@field ";
    char line[512];
    FILE *file = fopen(path, "r");
    demand(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, mark, sizeof mark - 1) != 0) continue;
        const char *name = line + sizeof mark - 1;
        names_add(list, (struct peri_str){ name, strcspn(name, "? \n") });
    }
    fclose(file);
}

static inline void api_read(struct api *api, struct peri_state *s) {
    find_functions(s, &api->functions);
    demand(peri_state_tend(s, find_methods, &api->methods) == PERI_OK);
    find_fields(&api->fields, PERI_SOURCE_DIR "/lua/perilune/_meta/policy.lua");
    find_fields(&api->fields, PERI_SOURCE_DIR "/lua/perilune/_meta/http_client.lua");
    names_sort(&api->functions);
    names_sort(&api->methods);
    names_sort(&api->fields);
    demand(api->functions.count > 60 && api->methods.count > 10 && api->fields.count > 40);
}

/* ---- Text ---- */

struct author {
    const struct api *api;
    struct feed *feed;
    struct peri_buf *out;
};

static inline void put_expression(struct author *w, unsigned depth);
static inline void put_block(struct author *w, unsigned depth);

static inline const char *pick_name(struct author *w, const struct names *list) {
    size_t high = list->count > 256 ? feed_byte(w->feed) : 0;
    return list->text[(high << 8 | feed_byte(w->feed)) % list->count];
}

/* Any bytes as a literal. */
static inline void put_literal(struct author *w) {
    struct peri_str s = feed_bytes(w->feed, feed_byte(w->feed) % 24u);
    put(w->out, "\"");
    for (size_t i = 0; i < s.n; i++)
        demand(peri_buf_addf(w->out, "\\%03u", (unsigned)(unsigned char)s.p[i]) == PERI_OK);
    put(w->out, "\"");
}

static inline void put_list(struct author *w, unsigned depth, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i > 0) put(w->out, ", ");
        put_expression(w, depth);
    }
}

/* A value that something has or was given. */
static inline void put_place(struct author *w) {
    static const char *const places[] = { "a",    "b",    "v[1]", "v[2]", "v[3]", "k[1]",   "k[2]",
                                          "k[3]", "k[4]", "k[5]", "...",  "peri", "policy", "_G" };
    put(w->out, PICK(w->feed, places));
}

static inline void put_object(struct author *w, unsigned depth) {
    unsigned kind = feed_byte(w->feed);
    if (kind < 80) {
        put(w->out, (kind & 1) == 0 ? "a" : "b");
    } else if (kind < 160 || depth == 0) {
        put(w->out, "(");
        put_place(w);
        put(w->out, ")");
    } else {
        put(w->out, "(");
        put_expression(w, depth - 1);
        put(w->out, ")");
    }
}

static inline void put_field(struct author *w, unsigned depth) {
    unsigned kind = feed_byte(w->feed);
    put_object(w, depth);
    if (kind < 160) {
        demand(peri_buf_addf(w->out, ".%s", pick_name(w, &w->api->fields)) == PERI_OK);
    } else if (kind < 200) {
        demand(peri_buf_addf(w->out, "[\"%s\"]", feed_word(w->feed)) == PERI_OK);
    } else {
        put(w->out, "[");
        put_expression(w, depth > 0 ? depth - 1 : 0);
        put(w->out, "]");
    }
}

/* Calls as they are meant, which nothing random finds soon: '@' is any expression, '$' a block, '&' a name of a field. */
static inline void put_idiom(struct author *w, unsigned depth) {
    static const char *const idioms[] = {
        "a:reply(200, @)",
        "a:reply(200, \"{}\")",
        "a:fail(400, \"no\", \"c\", \"p\")",
        "a:set_header(\"x-a\", tostring(@))",
        "b:set_header(\"x-a\", tostring(@))",
        "b:set_answer_header(\"x-a\", tostring(@))",
        "b:refuse(422, \"no\")",
        "b:replace(@)",
        "b:replace({ a = @ })",
        "b:drop()",
        "a:try(a:pick(), { first_token_ms = 20, total_ms = 400 })",
        "a:try(\"b\", { model = \"kimi-k2\" })",
        "a:providers()[1].&",
        "a:pick().&",
        "peri.providers({ model = \"m\", healthy = true, takes = \"tools\" })[1]",
        "a:pick():model(\"m\")",
        "(a:pick() == peri.providers()[1])",
        "(a.body == @)",
        "#a.body.messages",
        "a.body.messages[1].content",
        "table.insert(a.body.messages, @)",
        "table.remove(a.body.messages, 1)",
        "a.headers[\"x-a\"]",
        "a:header(\"authorization\")",
        "peri.json.decode(\"{\\\"a\\\":[1,{\\\"b\\\":null}]}\")",
        "peri.json.encode({ a = @, b = { @ } })",
        "peri.json.array({ @, @ })",
        "peri.json.same(a.body, @)",
        "peri.shared.set(\"k\", @, 50)",
        "peri.shared.add(\"n\", 1)",
        "peri.shared.swap(\"k\", nil, @)",
        "peri.sleep(10)",
        "peri.http.fetch({ url = \"http://192.0.2.1:1/\", body = tostring(@) })",
        "peri.log.warn(\"said\", { a = @, b = @ })",
        "peri.sign(\"a\", tostring(@), \"node\")",
        "string.find(tostring(@), \"(a?)[%w_]-%b()$\")",
        "string.gsub(tostring(@), \".\", function(...) $ end)",
        "string.gsub(tostring(@), \"%f[%w]%w+\", { a = @ }, 3)",
        "string.match(tostring(@), \"^()(.*)()$\")",
        "string.gmatch(tostring(@), \"[^,]*\")()",
        "string.format(\"%s %q %d %g\", @, \"a\", 3, 0.5)",
        "string.rep(tostring(@), 100, \",\")",
        "table.move({ 1, 2, 3, @ }, 1, 4, 2)",
        "table.sort({ 3, 1, @, 2 }, function(x, y) $ return x < y end)",
        "table.concat({ 1, \"a\", @ }, \",\")",
        "table.unpack({ @, @ }, 1, 3)",
        "select(2, @, @)",
        "xpcall(function() return @ end, function(e) $ return e end)",
        "coroutine.resume(coroutine.create(function(...) $ coroutine.yield(@) end))",
        "coroutine.close(k[1])",
        "setmetatable({}, { __index = function(t, n) $ return @ end })[@]",
        "utf8.char(97, 0x1f600)",
        "utf8.codepoint(tostring(@), 1, -1)",
        "tonumber(tostring(@), 16)",
        "os.date(\"%Y-%m-%d\", 86400)",
        "require(\"perilune.tool_ids\")"
    };
    for (const char *at = PICK(w->feed, idioms); *at != '\0'; at++) {
        switch (*at) {
        case '@': put_expression(w, depth); break;
        case '$': put_block(w, depth); break;
        case '&': put(w->out, pick_name(w, &w->api->fields)); break;
        default: demand(peri_buf_add_char(w->out, *at) == PERI_OK); break;
        }
    }
}

static inline void put_call(struct author *w, unsigned depth) {
    unsigned kind = feed_byte(w->feed);
    size_t count = kind % 4;
    if (kind < 56) {
        put(w->out, "try(function(...) return ");
        put_idiom(w, depth);
        put(w->out, " end, ...)");
    } else if (kind < 64) {
        put_idiom(w, depth);
    } else if (kind < 120) {
        put(w->out, "try(");
        put(w->out, pick_name(w, &w->api->functions));
        for (size_t i = 0; i < count; i++) {
            put(w->out, ", ");
            put_expression(w, depth);
        }
        put(w->out, ")");
    } else if (kind < 200) {
        put(w->out, "try(function(...) return ");
        put_object(w, depth);
        demand(peri_buf_addf(w->out, ":%s(", pick_name(w, &w->api->methods)) == PERI_OK);
        put_list(w, depth, count);
        put(w->out, ") end, ...)");
    } else if (kind < 224) {
        put(w->out, pick_name(w, &w->api->functions));
        put(w->out, "(");
        put_list(w, depth, count);
        put(w->out, ")");
    } else if (kind < 232) {
        put_object(w, depth);
        demand(peri_buf_addf(w->out, ":%s(", pick_name(w, &w->api->methods)) == PERI_OK);
        put_list(w, depth, count);
        put(w->out, ")");
    } else {
        put(w->out, "try(");
        put_list(w, depth, count + 1);
        put(w->out, ")");
    }
}

static inline void put_function(struct author *w, unsigned depth) {
    put(w->out, "function(...) ");
    put_block(w, depth);
    put(w->out, "end");
}

static inline void put_composed(struct author *w, unsigned depth) {
    static const char *const operators[] = { "+",  "-", "*",  "/", "//", "%", "^",  "..",  "==",
                                             "~=", "<", "<=", "&", "|",  "~", "<<", "and", "or" };
    static const char *const before[] = { "-", "not ", "#", "~" };
    static const char *const events[] = { "__index",    "__newindex", "__call",   "__len",
                                          "__lt",       "__eq",       "__concat", "__name",
                                          "__pairs",    "__gc",       "__close",  "__mode",
                                          "__tostring", "__metatable" };
    switch (feed_below(w->feed, 8)) {
    case 0:
        put(w->out, "{ ");
        put_list(w, depth, feed_below(w->feed, 4));
        put(w->out, " }");
        break;
    case 1:
    case 2:
        demand(peri_buf_addf(w->out, "{ [\"%s\"] = ", feed_word(w->feed)) == PERI_OK);
        put_expression(w, depth);
        demand(peri_buf_addf(w->out, ", %s = ", pick_name(w, &w->api->fields)) == PERI_OK);
        put_expression(w, depth);
        put(w->out, " }");
        break;
    case 3:
        put(w->out, "(");
        put_expression(w, depth);
        demand(peri_buf_addf(w->out, " %s ", PICK(w->feed, operators)) == PERI_OK);
        put_expression(w, depth);
        put(w->out, ")");
        break;
    case 4:
        put(w->out, PICK(w->feed, before));
        put_expression(w, depth);
        break;
    case 5:
        put(w->out, "setmetatable({}, { ");
        put(w->out, PICK(w->feed, events));
        put(w->out, " = ");
        put_expression(w, depth);
        put(w->out, " })");
        break;
    case 6:
        put(w->out, "coroutine.wrap(");
        put_function(w, depth);
        put(w->out, ")");
        break;
    default: put_function(w, depth); break;
    }
}

static inline void put_expression(struct author *w, unsigned depth) {
    static const char *const plain[] = { "nil",
                                         "true",
                                         "false",
                                         "0",
                                         "1",
                                         "2",
                                         "-1",
                                         "3",
                                         "16",
                                         "200",
                                         "255",
                                         "256",
                                         "400",
                                         "503",
                                         "1000",
                                         "4096",
                                         "65536",
                                         "1e6",
                                         "1e7",
                                         "2^31",
                                         "2^53",
                                         "0.5",
                                         "-0.0",
                                         "1/0",
                                         "0/0",
                                         "math.maxinteger",
                                         "math.mininteger",
                                         "\"\"",
                                         "\"x\"",
                                         "\"%d\"",
                                         "\"%s*\"",
                                         "\"a.b\"",
                                         "\"[DONE]\"",
                                         "\"(.-)x\"",
                                         "\"{}\"",
                                         "\"http://192.0.2.1/\"",
                                         "\"a\"",
                                         "\"b\"",
                                         "\"c\"",
                                         "{}",
                                         "print",
                                         "peri.json.null",
                                         "coroutine.running()",
                                         "(\"x\"):rep(70000)",
                                         "a.body",
                                         "b.body",
                                         "b.json",
                                         "a:pick()",
                                         "a:providers()[1]",
                                         "peri.providers{}[1]" };
    unsigned kind = feed_byte(w->feed);
    if (w->out->n > LUA_TEXT_MAX) {
        put(w->out, "nil");
    } else if (depth == 0 || kind < 90) {
        if (kind % 2 == 0)
            put(w->out, PICK(w->feed, plain));
        else
            put_place(w);
    } else if (kind < 110) {
        put_literal(w);
    } else if (kind < 160) {
        put_field(w, depth - 1);
    } else if (kind < 215) {
        put_call(w, depth - 1);
    } else {
        put_composed(w, depth - 1);
    }
}

static inline void put_loop(struct author *w, unsigned depth) {
    unsigned kind = feed_byte(w->feed);
    if (kind < 120) {
        demand(peri_buf_addf(w->out, "for i = 1, %u do v[1] = i ", 1 + kind) == PERI_OK);
        put_block(w, depth);
    } else if (kind < 200) {
        put(w->out, "for i, x in ");
        put_expression(w, depth);
        put(w->out, " do v[1], v[2] = i, x ");
        put_block(w, depth);
    } else if (kind < 230) {
        put(w->out, "for i, x in pairs(");
        put_expression(w, depth);
        put(w->out, ") do v[1], v[2] = i, x ");
        put_block(w, depth);
    } else {
        put(w->out, "while true do ");
        put_block(w, depth);
    }
    put(w->out, "end\n");
}

static inline void put_statement(struct author *w, unsigned depth) {
    unsigned kind = feed_byte(w->feed), which = 1 + kind % 5;
    if (kind < 50) {
        demand(peri_buf_addf(w->out, "k[%u] = ", which) == PERI_OK);
        put_expression(w, depth);
    } else if (kind < 80) {
        demand(peri_buf_addf(w->out, "v[%u] = ", which) == PERI_OK);
        put_expression(w, depth);
    } else if (kind < 170) {
        put(w->out, "local _ = ");
        put_call(w, depth);
    } else if (kind < 200) {
        put(w->out, "try(function(...) ");
        put_field(w, depth);
        put(w->out, " = ");
        put_expression(w, depth);
        put(w->out, " end, ...)");
    } else if (kind < 215) {
        put_loop(w, depth);
    } else if (kind < 230) {
        put(w->out, "if ");
        put_expression(w, depth);
        put(w->out, " then ");
        put_block(w, depth);
        put(w->out, "end");
    } else if (kind < 240) {
        put(w->out, "pcall(function(...) ");
        put_block(w, depth);
        put(w->out, "end, ...)");
    } else if (kind < 246) {
        put(w->out, "do error(");
        put_expression(w, depth);
        put(w->out, ") end");
    } else if (kind < 250) {
        put(w->out, "do return ");
        put_expression(w, depth);
        put(w->out, " end");
    } else {
        put(w->out, "k[6] = (k[6] or \"x\") .. (k[6] or \"x\")"); /* hoards */
    }
    put(w->out, "\n");
}

static inline void put_block(struct author *w, unsigned depth) {
    size_t count = depth == 0 || w->out->n > LUA_TEXT_MAX ? 0 : 1 + feed_below(w->feed, 3);
    for (size_t i = 0; i < count; i++) put_statement(w, depth - 1);
}

/* A whole policy; a feed that is over makes one that does nothing. */
static inline void put_policy(struct author *w) {
    static const char *const hooks[] = { "request", "route", "attempt", "event",
                                         "answer",  "done",  "epoch",   "check" };
    unsigned has = feed_byte(w->feed), more = feed_byte(w->feed);
    put(w->out,
        "local peri = require \"perilune\"\nlocal policy, k, v, a, b = {}, {}, {}\n"
        "local function try(f, ...) local ok, x = pcall(f, ...) if ok then return x end end\n");
    if ((more & 1) != 0) put(w->out, "policy.name = \"p\"\n");
    if ((more & 2) != 0) put(w->out, "policy.on_failure = \"refuse\"\n");
    if ((more & 0x1c) == 0x1c) {
        put(w->out, "local function chunk(...)\n");
        for (size_t i = 0; i <= more >> 6; i++) put_statement(w, 3);
        put(w->out, "end\nchunk()\n");
    }
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
        if ((has >> i & 1) == 0) continue;
        demand(peri_buf_addf(w->out, "function policy.%s(...)\na, b = ...\n", hooks[i]) == PERI_OK);
        for (size_t n = 1 + feed_below(w->feed, 6); n > 0; n--) put_statement(w, 4);
        if (i == 1 && feed_byte(w->feed) < 200) put(w->out, "do return (a:try(a:pick())) end\n");
        if (i == 7 && feed_byte(w->feed) < 250) put(w->out, "do return true end\n");
        put(w->out, "end\n");
    }
    put(w->out, "return policy\n");
}

#endif
