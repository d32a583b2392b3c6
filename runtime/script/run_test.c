#include "script/run.h"

#include "base/test.h"

/* A file in a directory of its own; both go with drop_file. */
struct file {
    char dir[40], path[60];
};

static struct file make_file(const char *name, const char *text) {
    struct file f;
    strcpy(f.dir, "/tmp/perilune-run-XXXXXX");
    if (mkdtemp(f.dir) == NULL) abort();
    snprintf(f.path, sizeof f.path, "%s/%s", f.dir, name);
    FILE *out = fopen(f.path, "w");
    if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0) abort();
    return f;
}

static void drop_file(const struct file *f) {
    unlink(f->path);
    rmdir(f->dir);
}

TEST(a_file_runs_with_its_arguments_and_may_wait) {
    struct file f = make_file("tool.lua", "local peri = require 'perilune'\n"
                                          "local a, b = ...\n"
                                          "assert(arg[1] == a and arg[2] == b and #arg == 2)\n"
                                          "local twice = peri.spawn(function() return 2 * b end)\n"
                                          "peri.sleep(1)\n"
                                          "return twice:wait() + #a\n");
    char *argv[] = { "abc", "20" };
    struct peri_script script = { .path = f.path, .argc = 2, .argv = argv };
    struct peri_fault fault;
    int result;
    CHECK_EQ(peri_script_run(&script, &result, &fault), PERI_OK);
    CHECK_EQ(result, 43);
    drop_file(&f);
}

TEST(a_file_that_raises_says_where) {
    struct file f = make_file("bad.lua", "\nerror('no network of that name')\n");
    struct peri_script script = { .path = f.path };
    struct peri_fault fault;
    char want[200];
    int result;
    CHECK_EQ(peri_script_run(&script, &result, &fault), PERI_EPOLICY);
    snprintf(want, sizeof want, "%s:2: no network of that name", f.path);
    CHECK_STR(peri_str_of(fault.text), want);
    drop_file(&f);
}

TEST(a_file_that_is_not_there_is_not_found) {
    struct peri_script script = { .path = "/nowhere/tool.lua" };
    struct peri_fault fault;
    int result;
    CHECK_EQ(peri_script_run(&script, &result, &fault), PERI_ENOTFOUND);
    CHECK_STR(peri_str_of(fault.text), "/nowhere/tool.lua: not found");
}

TEST(modules_are_found_in_the_given_directories) {
    struct file m = make_file("helper.lua", "return { answer = 42 }");
    struct file f = make_file("tool.lua", "return require('helper').answer");
    const char *search[] = { m.dir, NULL };
    struct peri_script script = { .path = f.path, .search = search };
    struct peri_fault fault;
    int result;
    CHECK_EQ(peri_script_run(&script, &result, &fault), PERI_OK);
    CHECK_EQ(result, 42);
    drop_file(&f);
    drop_file(&m);
}
