#include "base/arena.h"

#include "base/test.h"

TEST(arena_gives_a_place_for_no_bytes) {
    struct peri_arena a;
    peri_arena_init(&a, 0);
    char *first = peri_arena_alloc(&a, 0), *second = peri_arena_alloc(&a, 0);
    CHECK(first != NULL && second != NULL && first != second);
    peri_arena_done(&a);
}

TEST(arena_refuses_to_grow_past_its_cap) {
    struct peri_arena a;
    peri_arena_init(&a, 4096);
    CHECK(peri_arena_alloc(&a, 2000) != NULL);
    CHECK(peri_arena_alloc(&a, 4000) == NULL);
    CHECK(peri_arena_alloc(&a, SIZE_MAX) == NULL);
    CHECK(peri_arena_alloc(&a, 40) != NULL);
    CHECK(a.used <= 4096);
    peri_arena_done(&a);
    CHECK_EQ(a.used, 0);
}

TEST(arena_copies_end_in_nul) {
    struct peri_arena a;
    peri_arena_init(&a, 0);
    struct peri_str twin = peri_arena_dup(&a, (struct peri_str){ "abc", 2 });
    CHECK_STR(twin, "ab");
    CHECK_EQ(twin.p[2], 0);
    CHECK_STR(peri_arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    char *large = peri_arena_zalloc(&a, 100000);
    CHECK(large != NULL && large[0] == 0 && large[99999] == 0);
    peri_arena_done(&a);
}
