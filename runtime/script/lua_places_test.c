#include "script/lua_places.h"

#include "base/test.h"

static const struct peri_lua_place *nth_item(const struct peri_lua_places *in, uint64_t n) {
    const struct peri_lua_place *p = NULL;
    do p = peri_lua_places_item(in, p);
    while (p != NULL && --n > 0);
    return p;
}

/* "a.b.2" from the returned table: names, and items from 1. gives its line, 0 when it is not there. */
static uint32_t line_of(const char *source, const char *path) {
    struct peri_arena arena;
    peri_arena_init(&arena, 0);
    size_t n = strlen(source);
    char *text = test_guarded(source, n);
    const struct peri_lua_places *in = peri_lua_places_read(&arena, (struct peri_str){ text, n });
    struct peri_str part, rest = peri_str_of(path);
    const struct peri_lua_place *p = NULL;
    uint64_t index;
    while (peri_str_cut(&part, &rest, '.')) {
        bool is_item = peri_str_to_u64(&index, part) == PERI_OK;
        p = is_item ? nth_item(in, index) : peri_lua_places_find(in, part);
        in = p == NULL ? NULL : p->inner;
    }
    uint32_t line = p == NULL ? 0 : p->line;
    peri_arena_done(&arena);
    test_guarded_free(text, n);
    return line;
}

TEST(lua_places_follow_braces) {
    static const char source[] = "return {\n"
                                 "  a = 1,\n"
                                 "  b = { c = {\n"
                                 "    d = 2; } },\n"
                                 "  ['e f'] = { 3,\n"
                                 "    4, { g = 5 } },\n"
                                 "}\n";
    CHECK_EQ(line_of(source, "a"), 2);
    CHECK_EQ(line_of(source, "b"), 3);
    CHECK_EQ(line_of(source, "b.c.d"), 4);
    CHECK_EQ(line_of(source, "e f"), 5);
    CHECK_EQ(line_of(source, "e f.1"), 5);
    CHECK_EQ(line_of(source, "e f.2"), 6);
    CHECK_EQ(line_of(source, "e f.3.g"), 6);
    CHECK_EQ(line_of(source, "d"), 0);
}

TEST(lua_places_look_through_comments_and_strings) {
    static const char source[] = "#!/usr/bin/lua\n"
                                 "-- return { a = 1 }\n"
                                 "--[==[ return {\n ]] a = 2 } ]==]\n"
                                 "return { -- {\n"
                                 "  x = '}', y = \"\\\"}\", z = [[ } \n"
                                 "  ]], w = [=[ ]] } ]=],\n"
                                 "  a = 3,\n"
                                 "}\n";
    CHECK_EQ(line_of(source, "a"), 8);
    CHECK_EQ(line_of(source, "w"), 7);
}

TEST(lua_places_take_expressions_as_lumps) {
    static const char source[] =
        "return {\n"
        "  a = f { b = 1, c = 2 },\n"
        "  d = function(x, y) local t = { z = 1, } if x then return t end end,\n"
        "  e = (1 + 2) == 3 and 'x' or g(1, 2),\n"
        "  f = secret \"env:X\",\n"
        "  ['k' .. 'l'] = 1, [1 + 1] = 2, [name] = 3,\n"
        "  h = 4 }\n";
    CHECK_EQ(line_of(source, "a"), 2);
    CHECK_EQ(line_of(source, "b"), 0);
    CHECK_EQ(line_of(source, "a.b"), 0);
    CHECK_EQ(line_of(source, "d"), 3);
    CHECK_EQ(line_of(source, "z"), 0);
    CHECK_EQ(line_of(source, "e"), 4);
    CHECK_EQ(line_of(source, "f"), 5);
    CHECK_EQ(line_of(source, "h"), 7);
}

TEST(lua_places_know_tables_with_names) {
    static const char source[] = "local a = {\n  x = 1 }\n"
                                 "local b = { y = a,\n  z = 2 }\n"
                                 "return b\n";
    CHECK_EQ(line_of(source, "y"), 3);
    CHECK_EQ(line_of(source, "y.x"), 2);
    CHECK_EQ(line_of(source, "z"), 4);
    CHECK_EQ(line_of("local a = { x = 1 }\nreturn { b = a, c = a.x }", "b.x"), 1);
    CHECK_EQ(line_of("local a = { x = 1 }\nreturn { c = a.d }", "c.x"), 0);
}

TEST(lua_places_of_two_fields_of_one_name_take_the_last) {
    CHECK_EQ(line_of("return {\n a = 1,\n a = 2 }", "a"), 3);
}

TEST(lua_places_take_anything) {
    static const char *const sources[] = { "",
                                           "return",
                                           "return {",
                                           "return { a",
                                           "return { a =",
                                           "return { [",
                                           "{",
                                           "return { ['",
                                           "return { [[",
                                           "return { --[[",
                                           "return { a = { { { (",
                                           "return { ) ] end , ; = == ~= }",
                                           "return { [ = }",
                                           "return \\",
                                           "a =" };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        CHECK_EQ(line_of(sources[i], "b"), 0);
    char deep[4096];
    memset(deep, '{', sizeof deep - 1);
    memcpy(deep, "return ", 7);
    deep[sizeof deep - 1] = '\0';
    CHECK_EQ(line_of(deep, "b"), 0);
}
