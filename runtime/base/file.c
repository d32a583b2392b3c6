#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define PATH_BYTES 4096
#define STEP_BYTES 65536

enum peri_err peri_file_read(struct peri_buf *out, struct peri_str path, struct peri_fault *fault) {
    char name[PATH_BYTES];
    if (path.n >= sizeof name) return peri_fault_set(fault, PERI_EIO, "the path is too long");
    snprintf(name, sizeof name, "%.*s", PERI_STR_ARGS(path));
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return peri_fault_set(fault, errno == ENOENT ? PERI_ENOTFOUND : PERI_EIO, "%s: %s", name,
                              strerror(errno));
    enum peri_err err;
    size_t n = STEP_BYTES;
    while (n == STEP_BYTES && (err = peri_buf_reserve(out, n)) == PERI_OK &&
           (err = peri_file_fill(fd, out->p + out->n, &n)) == PERI_OK)
        out->n += n;
    if (err != PERI_OK)
        peri_fault_set(fault, err, "%s: %s", name,
                       err == PERI_EIO ? strerror(errno) : peri_err_text(err));
    close(fd);
    return err;
}

enum peri_err peri_file_fill(int fd, char *to, size_t *n) {
    size_t room = *n;
    *n = 0;
    while (*n < room) {
        ssize_t got = read(fd, to + *n, room - *n);
        if (got == 0) break;
        if (got < 0 && errno != EINTR) return PERI_EIO;
        if (got > 0) *n += (size_t)got;
    }
    return PERI_OK;
}

static enum peri_err failure(void) {
    return errno == ENOENT || errno == ENOTDIR ? PERI_ENOTFOUND : PERI_EIO;
}

static enum peri_err facts_of(struct peri_file_facts *out, const struct stat *st) {
    if (!S_ISREG(st->st_mode)) return PERI_EINVAL;
    *out = (struct peri_file_facts){ .bytes = (size_t)st->st_size,
                                     .changed_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
                                                   st->st_mtim.tv_nsec };
    return PERI_OK;
}

enum peri_err peri_file_look(struct peri_file_facts *out, const char *path) {
    struct stat st;
    return stat(path, &st) != 0 ? failure() : facts_of(out, &st);
}

enum peri_err peri_file_take(char *bytes, size_t *n, struct peri_file_facts *facts,
                             const char *path) {
    struct stat st;
    struct peri_file_facts unwanted;
    size_t room = *n;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is not waited for */
    if (fd < 0) return failure();
    enum peri_err err =
        fstat(fd, &st) != 0 ? PERI_EIO : facts_of(facts != NULL ? facts : &unwanted, &st);
    if (err == PERI_OK) {
        *n = room;
        err = peri_file_fill(fd, bytes, n);
    }
    int reason = errno;
    close(fd);
    errno = reason;
    return err;
}

enum peri_err peri_file_read_into(char *to, size_t *n, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failure();
    enum peri_err err = peri_file_fill(fd, to, n);
    int reason = errno;
    close(fd);
    errno = reason;
    return err;
}

static bool write_all(int fd, struct peri_str bytes) {
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) bytes = peri_str_from(bytes, (size_t)n);
    }
    return true;
}

enum peri_err peri_file_replace(struct peri_str path, struct peri_str bytes,
                                struct peri_fault *fault) {
    char name[PATH_BYTES], fresh[PATH_BYTES];
    if (path.n + 8 >= sizeof name)
        return peri_fault_set(fault, PERI_EINVAL, "the path is too long");
    snprintf(name, sizeof name, "%.*s", PERI_STR_ARGS(path));
    snprintf(fresh, sizeof fresh, "%.*s.new", PERI_STR_ARGS(path));
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_good = fd >= 0 && write_all(fd, bytes) && fsync(fd) == 0;
    int reason = errno;
    if (fd >= 0) close(fd);
    if (is_good && rename(fresh, name) == 0) return PERI_OK;
    if (is_good) reason = errno;
    if (fd >= 0) unlink(fresh);
    return peri_fault_set(fault, PERI_EIO, "%s: %s", name, strerror(reason));
}
