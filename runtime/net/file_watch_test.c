#include "net/file_watch.h"

#include "base/test.h"

static char folder[64];

static void write_file(const char *name, const char *text, const char *mode) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, mode);
    if (f == NULL) abort();
    fputs(text, f);
    fclose(f);
}

static void rename_file(const char *from, const char *to) {
    char a[128], b[128];
    snprintf(a, sizeof a, "%s/%s", folder, from);
    snprintf(b, sizeof b, "%s/%s", folder, to);
    if (rename(a, b) != 0) abort();
}

static void on_changed(void *arg) { ++*(int *)arg; }

struct ground {
    struct peri_loop *loop;
    struct peri_file_watch *watch;
    int told;
};

static void set_up(struct ground *g) {
    char path[128];
    g->told = 0;
    snprintf(folder, sizeof folder, "/tmp/file_watch_test.XXXXXX");
    if (mkdtemp(folder) == NULL) abort();
    write_file("policy.lua", "return 1", "w");
    if (peri_loop_new(&g->loop) != PERI_OK) abort();
    peri_loop_use_fake_time(g->loop);
    snprintf(path, sizeof path, "%s/policy.lua", folder);
    struct peri_str paths[] = { peri_str_of(path) };
    if (peri_file_watch_open(&g->watch, g->loop, paths, 1, on_changed, &g->told) != PERI_OK)
        abort();
}

static void tear_down(struct ground *g) {
    static const char *const names[] = { "policy.lua", "policy.lua.new", "router.log" };
    peri_file_watch_close(g->watch);
    peri_loop_free(g->loop);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* What was written is known to the loop after one turn: the system queues it as it happens. */
static void pass(struct ground *g, uint64_t ms) {
    peri_loop_step(g->loop, false);
    peri_loop_advance(g->loop, ms);
}

TEST(file_watch_tells_once_for_the_several_steps_of_an_editor) {
    struct ground g;
    set_up(&g);
    write_file("policy.lua", "return 22", "w");
    pass(&g, 10);
    write_file("policy.lua.new", "return 333", "w");
    rename_file("policy.lua.new", "policy.lua");
    pass(&g, 10);
    CHECK_EQ(g.told, 0);
    pass(&g, 30);
    CHECK_EQ(g.told, 1);
    pass(&g, 1000);
    CHECK_EQ(g.told, 1);
    tear_down(&g);
}

TEST(file_watch_is_not_put_off_by_a_busy_neighbour) {
    struct ground g;
    set_up(&g);
    write_file("policy.lua", "return 22", "w");
    for (int i = 0; i < 5; i++) {
        pass(&g, 15);
        write_file("router.log", "a line\n", "a");
    }
    CHECK_EQ(g.told, 1);
    pass(&g, 1000);
    CHECK_EQ(g.told, 1);
    tear_down(&g);
}

TEST(file_watch_waits_for_a_file_that_is_missing_for_a_moment) {
    struct ground g;
    set_up(&g);
    rename_file("policy.lua", "policy.lua.new");
    pass(&g, 100);
    CHECK_EQ(g.told, 0);
    write_file("policy.lua", "return 4444", "w");
    pass(&g, 100);
    CHECK_EQ(g.told, 1);
    tear_down(&g);
}
