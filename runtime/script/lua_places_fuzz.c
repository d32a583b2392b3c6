/* Any bytes: no read beyond them, no endless loop, and every place inside. */
#include "script/lua_places.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct peri_lua_places *in, struct peri_str source, int depth) {
    if (depth > 70) return; /* a name may lead to a table that is walked already */
    for (const struct peri_lua_place *p = in == NULL ? NULL : in->first; p != NULL; p = p->next) {
        bool is_inside =
            p->key.n == 0 || (p->key.p >= source.p && p->key.p + p->key.n <= source.p + source.n);
        if (!is_inside || p->line == 0 || p->line > source.n + 1) __builtin_trap();
        if (p->inner != NULL && p->inner->line >= p->line) walk(p->inner, source, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct peri_arena arena;
    struct peri_str source = { (const char *)data, size };
    peri_arena_init(&arena, 64 << 20);
    walk(peri_lua_places_read(&arena, source), source, 0);
    peri_arena_done(&arena);
    return 0;
}
