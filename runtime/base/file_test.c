#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

static void make_folder(char folder[64]) {
    snprintf(folder, 64, "/tmp/perilune-file-XXXXXX");
    if (mkdtemp(folder) == NULL) abort();
}

TEST(a_file_is_looked_at_and_taken) {
    char folder[64], path[80], room[8] = "";
    struct peri_file_facts facts, read;
    size_t n = sizeof room;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/f", folder);
    CHECK_EQ(peri_file_look(&facts, path), PERI_ENOTFOUND);
    CHECK_EQ(peri_file_take(room, &n, &read, path), PERI_ENOTFOUND);
    CHECK_EQ(n, 0);
    CHECK_EQ(peri_file_replace(peri_str_of(path), PERI_STR("0123456789"), NULL), PERI_OK);
    CHECK_EQ(peri_file_look(&facts, path), PERI_OK);
    CHECK_EQ(facts.bytes, 10);
    n = sizeof room; /* no more than there is room for */
    CHECK_EQ(peri_file_take(room, &n, &read, path), PERI_OK);
    CHECK_STR(((struct peri_str){ room, n }), "01234567");
    CHECK(read.changed_ns == facts.changed_ns && read.bytes == facts.bytes);
    CHECK_EQ(peri_file_replace(peri_str_of(path), PERI_STR("ab"), NULL), PERI_OK);
    n = sizeof room; /* it has become shorter */
    CHECK_EQ(peri_file_take(room, &n, NULL, path), PERI_OK);
    CHECK_STR(((struct peri_str){ room, n }), "ab");
    unlink(path);
    rmdir(folder);
}

TEST(what_is_no_regular_file_is_refused_and_not_waited_for) {
    char folder[64], path[80], room[8];
    struct peri_file_facts facts;
    size_t n = sizeof room;
    make_folder(folder);
    snprintf(path, sizeof path, "%s/fifo", folder);
    CHECK_EQ(mkfifo(path, 0600), 0);
    alarm(10);
    CHECK_EQ(peri_file_look(&facts, path), PERI_EINVAL);
    CHECK_EQ(peri_file_take(room, &n, &facts, path), PERI_EINVAL);
    n = sizeof room;
    CHECK_EQ(peri_file_take(room, &n, &facts, folder), PERI_EINVAL);
    alarm(0);
    unlink(path);
    rmdir(folder);
}
