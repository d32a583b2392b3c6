#include "base/sort.h"

#include <setjmp.h>

#include "base/rand.h"
#include "base/test.h"

struct item {
    int key, order;
};

static int by_key(const void *left, const void *right) {
    const struct item *a = left, *b = right;
    return (a->key > b->key) - (a->key < b->key);
}

TEST(sort_is_stable_at_every_length) {
    static struct item items[1000], room[1000];
    struct peri_rand r;
    peri_rand_seed(&r, 3);
    for (int count = 0; count < 1000; count += count < 70 ? 1 : 93) {
        for (int keys = 1; keys <= 1000; keys *= 10) {
            for (int i = 0; i < count; i++)
                items[i] = (struct item){ (int)peri_rand_below(&r, (uint64_t)keys), i };
            peri_sort(items, room, (size_t)count, sizeof *items, by_key, NULL);
            for (int i = 1; i < count; i++)
                CHECK(items[i - 1].key < items[i].key ||
                      (items[i - 1].key == items[i].key && items[i - 1].order < items[i].order));
        }
    }
}

struct counting {
    struct peri_pace pace;
    size_t told;
    jmp_buf out;
};

static void on_work(struct peri_pace *pace, size_t units) {
    struct counting *c = (struct counting *)pace;
    c->told += units;
    if (c->told > 20000) longjmp(c->out, 1);
}

TEST(sort_can_be_watched_and_left) {
    enum { COUNT = 100000 };
    struct item *items = malloc(COUNT * sizeof *items), *room = malloc(COUNT * sizeof *room);
    struct counting c = { .pace.on_work = on_work };
    for (int i = 0; i < COUNT; i++) items[i] = (struct item){ i * 7919 % COUNT, i };
    if (setjmp(c.out) == 0) {
        peri_sort(items, room, COUNT, sizeof *items, by_key, &c.pace);
        CHECK(false);
    }
    CHECK(c.told < 30000);
    free(items);
    free(room);
}
