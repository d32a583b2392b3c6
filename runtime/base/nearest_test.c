#include "base/nearest.h"

#include "base/test.h"

static const char *nearest(const char *word, unsigned limit) {
    static const char *const names[] = { "request", "route", "attempt", "event", "answer" };
    struct peri_nearest n = peri_nearest_to(peri_str_of(word), limit);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) peri_nearest_offer(&n, names[i]);
    CHECK(n.name != NULL || n.distance == limit + 1);
    return n.name != NULL ? n.name : "";
}

TEST(the_nearest_name_within_the_limit_is_kept) {
    CHECK_STR(peri_str_of(nearest("rout", 2)), "route");
    CHECK_STR(peri_str_of(nearest("evnet", 2)), "event");
    CHECK_STR(peri_str_of(nearest("answers", 2)), "answer");
    CHECK_STR(peri_str_of(nearest("attempt", 2)), "attempt");
    CHECK_STR(peri_str_of(nearest("atempts", 1)), "");
    CHECK_STR(peri_str_of(nearest("something", 3)), "");
}

TEST(of_names_as_near_the_first_is_kept) {
    struct peri_nearest n = peri_nearest_to(PERI_STR("cat"), 2);
    CHECK(peri_nearest_offer(&n, "carts"));
    CHECK(peri_nearest_offer(&n, "car"));
    CHECK(!peri_nearest_offer(&n, "cap"));
    CHECK_STR(peri_str_of(n.name), "car");
    CHECK(peri_nearest_offer(&n, "cat"));
    CHECK_EQ(n.distance, 0);
}
