#include "base/sized.h"

#include "base/test.h"

struct now {
    size_t size;
    uint64_t first, second;
    const char *third;
};

struct before {
    size_t size;
    uint64_t first;
};

struct later {
    struct now now;
    uint64_t fourth;
};

TEST(sized_members_that_an_older_program_does_not_know_are_nothing) {
    struct now out;
    memset(&out, 'x', sizeof out);
    struct before *given = malloc(sizeof *given); /* so that reading beyond it is seen */
    *given = (struct before){ sizeof *given, 7 };
    CHECK_EQ(peri_sized_read(&out, sizeof out, given), PERI_OK);
    CHECK_EQ(out.size, sizeof out);
    CHECK_EQ(out.first, 7);
    CHECK_EQ(out.second, 0);
    CHECK(out.third == NULL);
    free(given);
}

TEST(sized_members_of_a_newer_program_are_refused_once_they_are_used) {
    struct now out;
    struct later given = { { sizeof given, 1, 2, "3" }, 0 };
    CHECK_EQ(peri_sized_read(&out, sizeof out, &given), PERI_OK);
    CHECK_EQ(out.size, sizeof out);
    CHECK_EQ(out.second, 2);
    given.fourth = 4;
    CHECK_EQ(peri_sized_read(&out, sizeof out, &given), PERI_EINVAL);
}

TEST(sized_structs_without_a_size_are_refused) {
    struct now out, given = { 0, 1, 2, "3" };
    for (; given.size < sizeof given.size; given.size++) {
        CHECK_EQ(peri_sized_read(&out, sizeof out, &given), PERI_EINVAL);
        CHECK_EQ(peri_sized_write(&given, &out, sizeof out), PERI_EINVAL);
    }
}

TEST(sized_results_are_written_as_far_as_there_is_room) {
    const struct now from = { 0, 1, 2, "3" };
    struct before *given = malloc(sizeof *given);
    *given = (struct before){ sizeof *given, 7 };
    CHECK_EQ(peri_sized_write(given, &from, sizeof from), PERI_OK);
    CHECK_EQ(given->size, sizeof *given);
    CHECK_EQ(given->first, 1);
    free(given);
    struct later large = { .now = { .size = sizeof large } };
    CHECK_EQ(peri_sized_write(&large, &from, sizeof from), PERI_EINVAL);
}
