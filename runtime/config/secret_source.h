/* Where secrets come from: `env:NAME`, `file:PATH`, `cred:NAME` (systemd's $CREDENTIALS_DIRECTORY).
 *
 * A variable is read once, then taken out of the environment and overwritten where the kernel shows it
 * (/proc/self/environ); the box keeps its bytes, so that a reload finds them again. A file must be a regular file
 * of ours that nobody else may read; a symbolic link may only lead to a file in its own directory (which is how
 * Kubernetes mounts secrets). No message contains a byte of a secret.
 */
#ifndef PERI_CONFIG_SECRET_SOURCE_H
#define PERI_CONFIG_SECRET_SOURCE_H

#include "config/secret_zone.h"

#define PERI_SECRET_MAX 65536 /* bytes of one secret, and of one variable */

/* The environment behind a seam. Every function may be called only while no other thread is running that looks
 * at the environment. */
struct peri_env {
    /* The value of a variable; NULL when not set. */
    const char *(*get)(void *arg, const char *name);
    /* Overwrite its value and take it out; NULL: leave the environment alone (a host program's choice). */
    void (*forget)(void *arg, const char *name);
    /* The i-th entry as "NAME=value", NULL behind the last. */
    const char *(*entry)(void *arg, size_t i);
    void *arg;
};

/* This process's, with forget; and the same that leaves everything in place. */
extern const struct peri_env peri_env_process;
extern const struct peri_env peri_env_process_kept;

struct peri_secret_box;

/* `env` is borrowed for the life of the box. NULL when memory ran out. */
struct peri_secret_box *peri_secret_box_new(const struct peri_env *env);
/* Takes NULL. */
void peri_secret_box_free(struct peri_secret_box *box);
const struct peri_env *peri_secret_box_env(const struct peri_secret_box *box);

/* The value of a variable that may hold a secret, remembered and forgotten by the environment as said above.
 *   gives   PERI_OK · PERI_ENOTFOUND not set, or empty · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_secret_box_variable(struct peri_secret_box *box,
                                                     struct peri_str name, struct peri_str *value);
/* The same without taking it: from the environment, or what was taken before; false when there is none. */
bool peri_secret_box_peek(struct peri_secret_box *box, struct peri_str name,
                          struct peri_str *value);

/* Read one secret.
 *   out      in memory of the zone; one trailing newline is gone
 *   source   "env:NAME", "file:PATH", "cred:NAME"
 *   folder   what a relative PATH starts from; may be empty
 *   gives    PERI_OK · PERI_ENOTFOUND · PERI_EDENIED (mode, owner, link) · PERI_EINVAL · PERI_EIO · PERI_ENOMEM,
 *            each with a sentence in `fault` that says the remedy */
PERI_MUST_USE enum peri_err peri_secret_read(struct peri_secret *out, struct peri_secret_zone *zone,
                                             struct peri_secret_box *box, struct peri_str source,
                                             struct peri_str folder, struct peri_fault *fault);

/* A file of secrets that is read by somebody else: the same rules for the file, none for what is in it.
 *   out     in memory of the box, for its life
 *   gives   as peri_secret_read */
PERI_MUST_USE enum peri_err peri_secret_read_document(struct peri_str *out,
                                                      struct peri_secret_box *box,
                                                      struct peri_str path,
                                                      struct peri_fault *fault);

#endif
