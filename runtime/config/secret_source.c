#include "config/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define NAME_MAX_BYTES 256 /* of a variable or credential */

extern char **environ;

static const char *process_get(void *arg, const char *name) {
    (void)arg;
    return getenv(name);
}

/* The bytes behind getenv are what /proc/self/environ shows: unsetenv alone would leave them there. */
static void process_forget(void *arg, const char *name) {
    (void)arg;
    char *value = getenv(name);
    if (value != NULL) peri_wipe(value, strlen(value));
    unsetenv(name);
}

static const char *process_entry(void *arg, size_t i) {
    (void)arg;
    return environ == NULL ? NULL : environ[i];
}

const struct peri_env peri_env_process = { process_get, process_forget, process_entry, NULL };
const struct peri_env peri_env_process_kept = { process_get, NULL, process_entry, NULL };

struct variable {
    struct variable *next;
    struct peri_secret name, value; /* the name too: both live in the zone */
};

struct peri_secret_box {
    const struct peri_env *env;
    struct peri_secret_zone *zone;
    struct variable *variables;
};

struct peri_secret_box *peri_secret_box_new(const struct peri_env *env) {
    struct peri_secret_box *box = peri_calloc(1, sizeof *box);
    if (box == NULL) return NULL;
    box->env = env;
    box->zone = peri_secret_zone_new();
    if (box->zone != NULL) return box;
    peri_secret_box_free(box);
    return NULL;
}

void peri_secret_box_free(struct peri_secret_box *box) {
    if (box == NULL) return;
    for (struct variable *v = box->variables, *next; v != NULL; v = next) {
        next = v->next;
        peri_free(v);
    }
    peri_secret_zone_free(box->zone);
    peri_free(box);
}

const struct peri_env *peri_secret_box_env(const struct peri_secret_box *box) { return box->env; }

static const struct variable *find(const struct peri_secret_box *box, struct peri_str name) {
    for (const struct variable *v = box->variables; v != NULL; v = v->next)
        if (peri_str_eq((struct peri_str){ v->name.p, v->name.n }, name)) return v;
    return NULL;
}

static const char *ask(struct peri_secret_box *box, struct peri_str name, char z[NAME_MAX_BYTES]) {
    if (name.n == 0 || name.n >= NAME_MAX_BYTES || memchr(name.p, '\0', name.n) != NULL)
        return NULL;
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    const char *value = box->env->get(box->env->arg, z);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

bool peri_secret_box_peek(struct peri_secret_box *box, struct peri_str name,
                          struct peri_str *value) {
    char z[NAME_MAX_BYTES];
    const char *text = ask(box, name, z);
    const struct variable *v = find(box, name);
    if (text != NULL)
        *value = peri_str_of(text);
    else if (v != NULL)
        *value = (struct peri_str){ v->value.p, v->value.n };
    else
        return false;
    return true;
}

/* A variable set again after it was taken (a host program did that) replaces what was kept. */
static enum peri_err remember(struct peri_secret_box *box, struct peri_str name,
                              struct peri_str value, struct peri_str *kept) {
    struct variable *v = (struct variable *)find(box, name);
    if (v == NULL) {
        v = peri_calloc(1, sizeof *v);
        if (v == NULL || peri_secret_zone_dup(box->zone, &v->name, name) != PERI_OK) {
            peri_free(v);
            return PERI_ENOMEM;
        }
        v->next = box->variables;
        box->variables = v;
    }
    struct peri_str now = { v->value.p, v->value.n };
    if ((now.p == NULL || !peri_str_eq(now, value)) &&
        peri_secret_zone_dup(box->zone, &v->value, value) != PERI_OK)
        return PERI_ENOMEM;
    *kept = (struct peri_str){ v->value.p, v->value.n };
    return PERI_OK;
}

enum peri_err peri_secret_box_variable(struct peri_secret_box *box, struct peri_str name,
                                       struct peri_str *value) {
    char z[NAME_MAX_BYTES];
    const char *text = ask(box, name, z);
    if (text == NULL) return peri_secret_box_peek(box, name, value) ? PERI_OK : PERI_ENOTFOUND;
    enum peri_err err = remember(box, name, peri_str_of(text), value);
    if (err == PERI_OK && box->env->forget != NULL) box->env->forget(box->env->arg, z);
    return err;
}

/* A header can not carry a second line, and no key has one: such a file is something else. */
static enum peri_err keep(struct peri_secret *out, struct peri_secret_zone *zone,
                          struct peri_str bytes, const char *what, struct peri_fault *fault) {
    if (bytes.n > 0 && bytes.p[bytes.n - 1] == '\n') bytes.n--;
    if (bytes.n > 0 && bytes.p[bytes.n - 1] == '\r') bytes.n--;
    if (bytes.n == 0) return peri_fault_set(fault, PERI_EINVAL, "%s is empty", what);
    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (c == '\n' || c == '\r')
            return peri_fault_set(fault, PERI_EINVAL,
                                  "%s has more than one line, expected the secret alone", what);
        if (c < 0x20 || c == 0x7f)
            return peri_fault_set(fault, PERI_EINVAL, "%s has a control character, expected text",
                                  what);
    }
    if (peri_secret_zone_dup(zone, out, bytes) == PERI_OK) return PERI_OK;
    return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
}

static enum peri_err check_folder(const char *path, struct peri_fault *fault) {
    char copy[PATH_MAX];
    struct stat st;
    snprintf(copy, sizeof copy, "%s", path);
    const char *folder = dirname(copy);
    if (stat(folder, &st) != 0)
        return peri_fault_set(fault, PERI_EIO, "can not look at '%s': %s", folder, strerror(errno));
    if ((st.st_mode & S_IWOTH) == 0 || (st.st_mode & S_ISVTX) != 0) return PERI_OK;
    return peri_fault_set(
        fault, PERI_EDENIED,
        "secret file '%s' is in a directory anybody may write to, fix: chmod o-w %s", path, folder);
}

/* A link is followed only inside its own directory: elsewhere somebody else's rules hold. */
static enum peri_err check_link(const char *path, struct peri_fault *fault) {
    char copy[PATH_MAX], folder[PATH_MAX], real[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode)) return PERI_OK;
    snprintf(copy, sizeof copy, "%s", path);
    if (realpath(dirname(copy), folder) == NULL || realpath(path, real) == NULL)
        return peri_fault_set(fault, PERI_ENOTFOUND,
                              "secret file '%s' is a symbolic link that leads nowhere", path);
    size_t n = strlen(folder);
    if (strncmp(real, folder, n) == 0 && (real[n] == '/' || n == 1)) return PERI_OK;
    return peri_fault_set(fault, PERI_EDENIED,
                          "secret file '%s' is a symbolic link to another directory, fix: name the "
                          "file itself",
                          path);
}

static enum peri_err check_file(const char *path, const struct stat *st, struct peri_fault *fault) {
    if (!S_ISREG(st->st_mode))
        return peri_fault_set(fault, PERI_EDENIED, "secret '%s' is not a regular file", path);
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return peri_fault_set(
            fault, PERI_EDENIED,
            "secret file '%s' belongs to another user (uid %lu), fix: chown %lu %s", path,
            (unsigned long)st->st_uid, (unsigned long)geteuid(), path);
    if ((st->st_mode & 077) != 0)
        return peri_fault_set(
            fault, PERI_EDENIED,
            "secret file '%s' has mode %04o, others may reach it, fix: chmod 600 %s", path,
            (unsigned)(st->st_mode & 07777), path);
    return PERI_OK;
}

/* What becomes of a file's bytes: one secret in a zone, or a document in a box. */
struct target {
    struct peri_secret *secret;
    struct peri_secret_zone *zone;
    struct peri_str *document;
    struct peri_secret_box *box;
};

static enum peri_err keep_file(const struct target *to, struct peri_str bytes, const char *what,
                               struct peri_fault *fault) {
    if (to->secret != NULL) return keep(to->secret, to->zone, bytes, what, fault);
    if (remember(to->box, peri_str_of(what), bytes, to->document) == PERI_OK) return PERI_OK;
    return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
}

static enum peri_err read_all(const struct target *to, int fd, const char *path,
                              struct peri_fault *fault) {
    char bytes[PERI_SECRET_MAX + 1];
    size_t n = sizeof bytes;
    enum peri_err err = peri_file_fill(fd, bytes, &n);
    char what[PATH_MAX + 32];
    snprintf(what, sizeof what, "secret file '%s'", path);
    if (err != PERI_OK)
        peri_fault_set(fault, err, "%s can not be read: %s", what, strerror(errno));
    else if (n > PERI_SECRET_MAX)
        err =
            peri_fault_set(fault, PERI_EINVAL, "%s is larger than %d bytes", what, PERI_SECRET_MAX);
    else
        err = keep_file(to, (struct peri_str){ bytes, n }, what, fault);
    peri_wipe(bytes, n);
    return err;
}

static enum peri_err read_file(const struct target *to, const char *path, bool is_credential,
                               struct peri_fault *fault) {
    struct stat st;
    enum peri_err err = check_link(path, fault);
    /* systemd's own directory is guarded by systemd: modes there show access lists as group bits. */
    if (err == PERI_OK && !is_credential) err = check_folder(path, fault);
    if (err != PERI_OK) return err;
    /* Non-blocking, so that a pipe under that name does not hold the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return peri_fault_set(fault, errno == ENOENT ? PERI_ENOTFOUND : PERI_EIO,
                              "secret file '%s' can not be opened: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0)
        err = peri_fault_set(fault, PERI_EIO, "secret file '%s': %s", path, strerror(errno));
    else if (is_credential && !S_ISREG(st.st_mode))
        err = peri_fault_set(fault, PERI_EDENIED, "credential '%s' is not a regular file", path);
    else if (!is_credential)
        err = check_file(path, &st, fault);
    if (err == PERI_OK) err = read_all(to, fd, path, fault);
    close(fd);
    return err;
}

static enum peri_err read_credential(struct peri_secret *out, struct peri_secret_zone *zone,
                                     struct peri_secret_box *box, struct peri_str name,
                                     struct peri_fault *fault) {
    char path[PATH_MAX];
    const char *folder = box->env->get(box->env->arg, "CREDENTIALS_DIRECTORY");
    if (folder == NULL || folder[0] != '/')
        return peri_fault_set(
            fault, PERI_ENOTFOUND,
            "credential '%.*s' can not be read, CREDENTIALS_DIRECTORY is not set: "
            "expected a start by systemd with LoadCredential=%.*s:PATH",
            PERI_STR_ARGS(name), PERI_STR_ARGS(name));
    if (name.n == 0 || peri_str_find_char(name, '/') >= 0 || name.p[0] == '.')
        return peri_fault_set(fault, PERI_EINVAL, "credential '%.*s' is no plain name",
                              PERI_STR_ARGS(name));
    snprintf(path, sizeof path, "%s/%.*s", folder, PERI_STR_ARGS(name));
    const struct target to = { .secret = out, .zone = zone };
    return read_file(&to, path, true, fault);
}

static enum peri_err read_path(const struct target *to, struct peri_str name,
                               struct peri_str folder, struct peri_fault *fault) {
    char path[PATH_MAX];
    if (name.n == 0 || memchr(name.p, '\0', name.n) != NULL)
        return peri_fault_set(fault, PERI_EINVAL, "'file:' names no file");
    bool is_whole = name.p[0] == '/' || folder.n == 0;
    int n = is_whole ? snprintf(path, sizeof path, "%.*s", PERI_STR_ARGS(name))
                     : snprintf(path, sizeof path, "%.*s/%.*s", PERI_STR_ARGS(folder),
                                PERI_STR_ARGS(name));
    if (n < 0 || (size_t)n >= sizeof path)
        return peri_fault_set(fault, PERI_EINVAL, "the path of a secret file is too long");
    return read_file(to, path, false, fault);
}

enum peri_err peri_secret_read(struct peri_secret *out, struct peri_secret_zone *zone,
                               struct peri_secret_box *box, struct peri_str source,
                               struct peri_str folder, struct peri_fault *fault) {
    struct peri_str value;
    const struct target to = { .secret = out, .zone = zone };
    if (peri_str_has_prefix(source, PERI_STR("file:")))
        return read_path(&to, peri_str_from(source, 5), folder, fault);
    if (peri_str_has_prefix(source, PERI_STR("cred:")))
        return read_credential(out, zone, box, peri_str_from(source, 5), fault);
    if (!peri_str_has_prefix(source, PERI_STR("env:")))
        return peri_fault_set(fault, PERI_EINVAL,
                              "a secret comes from \"env:NAME\", \"file:PATH\" or \"cred:NAME\"");
    struct peri_str name = peri_str_from(source, 4);
    enum peri_err err = peri_secret_box_variable(box, name, &value);
    if (err == PERI_ENOMEM) return peri_fault_set(fault, err, "out of memory");
    if (err != PERI_OK)
        return peri_fault_set(fault, PERI_ENOTFOUND,
                              "the environment variable %.*s is not set or empty",
                              PERI_STR_ARGS(name));
    if (value.n > PERI_SECRET_MAX)
        return peri_fault_set(fault, PERI_EINVAL,
                              "the environment variable %.*s is larger than %d bytes",
                              PERI_STR_ARGS(name), PERI_SECRET_MAX);
    char what[NAME_MAX_BYTES + 32];
    snprintf(what, sizeof what, "the environment variable %.*s", PERI_STR_ARGS(name));
    return keep(out, zone, value, what, fault);
}

enum peri_err peri_secret_read_document(struct peri_str *out, struct peri_secret_box *box,
                                        struct peri_str path, struct peri_fault *fault) {
    const struct target to = { .document = out, .box = box };
    return read_path(&to, path, (struct peri_str){ "", 0 }, fault);
}
