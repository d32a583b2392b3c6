#include "script/policy_program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "script/state.h"

static enum peri_err read_file(struct peri_arena *a, struct peri_str *out,
                               const struct peri_config_policy *c, struct peri_fault *fault) {
    enum peri_err err = PERI_OK;
    int fd = open(c->path.p, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return peri_fault_set(fault, errno == ENOENT ? PERI_ENOTFOUND : PERI_EIO,
                              "%s: the policy can not be read: %s", c->file.p, strerror(errno));
    struct stat st;
    char *text = NULL;
    size_t n = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err = peri_fault_set(fault, PERI_EIO, "%s: a policy must be a regular file", c->file.p);
    } else if (st.st_size > PERI_SOURCE_MAX) {
        err =
            peri_fault_set(fault, PERI_ETOOBIG, "%s: a policy may have at most %d bytes, got %lld",
                           c->file.p, PERI_SOURCE_MAX, (long long)st.st_size);
    } else if ((text = peri_arena_alloc(a, (size_t)st.st_size + 1)) == NULL) {
        err = peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    }
    while (err == PERI_OK && n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        if (got > 0)
            n += (size_t)got;
        else if (got == 0)
            break; /* somebody is just writing it: the next change is seen, too */
        else if (errno != EINTR)
            err = peri_fault_set(fault, PERI_EIO, "%s: %s", c->file.p, strerror(errno));
    }
    close(fd);
    *out = (struct peri_str){ text, n };
    return err;
}

void peri_policy_program_free(struct peri_policy_program *p) {
    if (p == NULL) return;
    peri_arena_done(&p->arena);
    peri_free(p);
}

enum peri_err peri_policy_program_read(struct peri_policy_program **out,
                                       const struct peri_config *config, struct peri_fault *fault) {
    *out = NULL;
    if (config->policy_count == 0) return PERI_OK;
    struct peri_policy_program *p = peri_calloc(1, sizeof *p);
    if (p == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    peri_arena_init(&p->arena, 0);
    enum peri_err err = PERI_OK;
    p->files = peri_arena_zalloc(&p->arena, config->policy_count * sizeof *p->files);
    if (p->files == NULL) err = peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    for (size_t i = 0; err == PERI_OK && i < config->policy_count; i++) {
        const struct peri_config_policy *c = &config->policies[i];
        struct peri_policy_file *f = &p->files[p->count++];
        f->name = peri_arena_dup(&p->arena, c->file);
        f->options = peri_arena_dup(&p->arena, c->options.n > 0 ? c->options : PERI_STR("{}"));
        const char *slash = memrchr(c->path.p, '/', c->path.n);
        f->folder =
            slash == NULL
                ? "."
                : peri_arena_dup(&p->arena,
                                 (struct peri_str){ c->path.p, (size_t)(slash - c->path.p) })
                      .p;
        if (f->name.p == NULL || f->options.p == NULL || f->folder == NULL)
            err = peri_fault_set(fault, PERI_ENOMEM, "out of memory");
        else
            err = read_file(&p->arena, &f->source, c, fault);
    }
    if (err != PERI_OK) {
        peri_policy_program_free(p);
        return err;
    }
    *out = p;
    return PERI_OK;
}
