/* The C tests' own ground: one test program is one file that includes this and states facts.
 *
 *   TEST(buf_refuses_to_grow_past_its_cap) { …; CHECK_EQ(buf.n, 12); }
 *
 * Run a program with part of a name to run only those tests. Allocations can be made to fail from the k-th
 * on (TEST_EACH_FAILING_ALLOCATION), and bytes can be laid against an unreadable page (test_guarded), so that
 * reading one too far is a crash rather than luck.
 */
#ifndef PERI_BASE_TEST_H
#define PERI_BASE_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

static struct test_case *test_cases;
static int test_failures;
static long test_allocations, test_fail_from = -1;

#define TEST(id)                                                                                   \
    static void test_##id(void);                                                                   \
    static struct test_case test_case_##id = { #id, test_##id, NULL };                             \
    __attribute__((constructor)) static void test_add_##id(void) {                                 \
        test_case_##id.next = test_cases;                                                          \
        test_cases = &test_case_##id;                                                              \
    }                                                                                              \
    static void test_##id(void)

#define CHECK(claim)                                                                               \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);                    \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(got, want)                                                                        \
    do {                                                                                           \
        long long test_got = (long long)(got), test_want = (long long)(want);                      \
        if (test_got != test_want) {                                                               \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, test_got,   \
                    test_want);                                                                    \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)

#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        struct peri_str test_got = (got), test_want = peri_str_of(want);                           \
        if (!peri_str_eq(test_got, test_want)) {                                                   \
            fprintf(stderr, "%s:%d: %s is \"%.*s\", not \"%s\"\n", __FILE__, __LINE__, #got,       \
                    PERI_STR_ARGS(test_got), test_want.p);                                         \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)

/* Run the block once with every allocation failing from the k-th on, for k = 0, 1, …, until a run needs
 * fewer than k allocations. */
#define TEST_EACH_FAILING_ALLOCATION for (long test_k = 0; test_torture_next(test_k); test_k++)

static bool test_torture_done;

__attribute__((unused)) static bool test_torture_next(long k) {
    bool is_over = k > 0 && test_allocations < k;
    test_allocations = 0;
    test_fail_from = is_over ? -1 : k;
    test_torture_done = is_over;
    return !is_over;
}

static bool test_alloc_fails(void) {
    return test_fail_from >= 0 && test_allocations++ >= test_fail_from;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n) { return test_alloc_fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t count, size_t n) {
    return test_alloc_fails() ? NULL : __real_calloc(count, n);
}
void *__wrap_realloc(void *p, size_t n) { return test_alloc_fails() ? NULL : __real_realloc(p, n); }

/* A copy of bytes whose end touches an unreadable page; release with test_guarded_free. */
__attribute__((unused)) static char *test_guarded(const void *bytes, size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n / page + 1) * page;
    char *base =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0) abort();
    if (n > 0) memcpy(base + room - n, bytes, n);
    return base + room - n;
}

__attribute__((unused)) static void test_guarded_free(char *p, size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n / page + 1) * page;
    munmap(p + n - room, room + page);
}

/* A whole file, ending in NUL; NULL when it cannot be read. Free it. */
__attribute__((unused)) static char *test_read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *p = __real_malloc((size_t)size + 1);
    if (p == NULL || fread(p, 1, (size_t)size, f) != (size_t)size) abort();
    p[size] = '\0';
    *n = (size_t)size;
    fclose(f);
    return p;
}

int main(int argc, char **argv) {
    int ran = 0;
    struct test_case *in_order = NULL;
    for (struct test_case *t = test_cases, *next; t != NULL; t = next) {
        next = t->next;
        t->next = in_order;
        in_order = t;
    }
    for (struct test_case *t = in_order; t != NULL; t = t->next) {
        if (argc > 1 && strstr(t->name, argv[1]) == NULL) continue;
        int before = test_failures;
        t->run();
        test_fail_from = -1;
        ran++;
        printf("%s %s\n", test_failures == before ? "ok    " : "FAILED", t->name);
    }
    printf("%d tests, %d failed checks\n", ran, test_failures);
    return test_failures > 0 || ran == 0;
}

#endif
