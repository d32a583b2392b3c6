/* `perilune test`: finds the files; what runs them is Lua (lua/perilune/testing). A file cmd_test.c would be taken for
 * the tests of a module cmd. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/cli.h"
#include "base/buf.h"
#include "base/mem.h"

#define SUFFIX    "_test.lua"
#define DEPTH_MAX 32

/* What the program gets: texts of ours, ended by NULL. */
struct words {
    char **at;
    size_t count, room;
    bool has_failed;
};

static void add(struct words *w, const char *a, const char *between, const char *b) {
    size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
    if (w->count + 2 > w->room) {
        size_t room = w->room == 0 ? 32 : w->room * 2;
        char **more = peri_realloc(w->at, room * sizeof *more);
        if (more == NULL) {
            w->has_failed = true;
            return;
        }
        w->at = more;
        w->room = room;
    }
    char *word = peri_malloc(n);
    if (word == NULL) {
        w->has_failed = true;
        return;
    }
    snprintf(word, n, "%s%s%s", a, between, b);
    w->at[w->count++] = word;
    w->at[w->count] = NULL;
}

static void words_done(struct words *w) {
    for (size_t i = 0; i < w->count; i++) peri_free(w->at[i]);
    peri_free(w->at);
}

static bool is_test(const char *name) {
    size_t n = strlen(name), suffix = sizeof SUFFIX - 1;
    return n > suffix && strcmp(name + n - suffix, SUFFIX) == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every test file of a folder and of those in it, by name; hidden folders are left out. */
static void add_folder(struct words *w, const char *folder, int depth) {
    struct words names = { NULL, 0, 0, false };
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t n = strlen(folder);
    const char *between = n > 0 && folder[n - 1] == '/' ? "" : "/";
    if (dir == NULL) return;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.') add(&names, folder, between, entry->d_name);
    closedir(dir);
    if (names.count > 0) qsort(names.at, names.count, sizeof *names.at, by_name);
    for (size_t i = 0; i < names.count; i++) {
        struct stat st;
        if (lstat(names.at[i], &st) != 0) continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
            add_folder(w, names.at[i], depth + 1);
        else if (!S_ISDIR(st.st_mode) && is_test(names.at[i]))
            add(w, names.at[i], "", "");
    }
    w->has_failed |= names.has_failed;
    words_done(&names);
}

static int add_path(struct words *w, const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) return peri_cli_usage("test", "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        add_folder(w, path, 0);
    else
        add(w, path, "", "");
    return PERI_EXIT_OK;
}

/* "--name value" becomes "--name=value".
 *   gives   1 taken · 0 no flag · -1 wrong, said */
static int take_flag(struct words *w, int argc, char **argv, int *i) {
    static const char *const flags[] = { "--filter", "--seed", "--format", "--budget",
                                         "--timeout" };
    const char *arg = argv[*i];
    if (arg[0] != '-') return 0;
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
        size_t n = strlen(flags[k]);
        if (strncmp(arg, flags[k], n) != 0 || (arg[n] != '=' && arg[n] != '\0')) continue;
        const char *value = arg[n] == '=' ? arg + n + 1 : *i + 1 < argc ? argv[++*i] : NULL;
        if (value == NULL) break;
        add(w, flags[k], "=", value);
        return 1;
    }
    (void)peri_cli_usage("test", "unknown argument '%s', see `perilune help test`", arg);
    return -1;
}

int peri_cmd_test(int argc, char **argv) {
    struct words w = { NULL, 0, 0, false };
    int code = PERI_EXIT_OK, paths = 0;
    add(&w, "test", "", "");
    for (int i = 1; i < argc && code == PERI_EXIT_OK; i++) {
        int taken = take_flag(&w, argc, argv, &i);
        if (taken < 0) code = PERI_EXIT_USAGE;
        if (taken == 0) code = add_path(&w, argv[i]), paths++;
    }
    if (code == PERI_EXIT_OK && paths == 0) code = add_path(&w, ".");
    if (w.has_failed) {
        fprintf(stderr, "perilune test: out of memory\n");
        code = PERI_EXIT_FAILED;
    }
    if (code == PERI_EXIT_OK)
        code = peri_cli_script("test", PERI_LUA_DIR "/perilune/cli/test.lua", (int)w.count, w.at);
    words_done(&w);
    return code;
}
