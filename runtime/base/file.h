/* Whole files, read and written. Nothing else in the runtime reads one, but for secrets: their mode is looked at while
 * they are open, so they use peri_file_fill. */
#ifndef PERI_BASE_FILE_H
#define PERI_BASE_FILE_H

#include "base/buf.h"

/* Append all of a file.
 *   gives   PERI_OK · PERI_ENOTFOUND · PERI_EIO · PERI_ETOOBIG, PERI_ENOMEM of the buffer; the reason, with the path, in
 *           `fault` (may be NULL) */
PERI_MUST_USE enum peri_err peri_file_read(struct peri_buf *out, struct peri_str path,
                                           struct peri_fault *fault);

struct peri_file_facts {
    size_t bytes;
    int64_t changed_ns; /* wall clock */
};
/* What a regular file is like; nothing else is opened, so that no FIFO is waited for.
 *   gives   PERI_OK · PERI_ENOTFOUND · PERI_EINVAL it is no regular file · PERI_EIO; errno says why */
PERI_MUST_USE enum peri_err peri_file_look(struct peri_file_facts *out, const char *path);
/* Its first bytes, into memory that the caller made for as many.
 *   n       room; becomes what was read: less when the file has become shorter
 *   facts   of the file that was read; NULL: not wanted
 *   gives   as peri_file_look */
PERI_MUST_USE enum peri_err peri_file_take(char *bytes, size_t *n, struct peri_file_facts *facts,
                                           const char *path);

/* What is left of an open file, into memory of the caller's, unbuffered: there is no second copy of what may be a secret.
 *   n       room; becomes what was read: less when the file has no more
 *   gives   PERI_OK · PERI_EIO, errno says why */
PERI_MUST_USE enum peri_err peri_file_fill(int fd, char *to, size_t *n);
/* The first bytes of a file of any kind, in the same way: a FIFO is waited for.
 *   gives   PERI_OK · PERI_ENOTFOUND, PERI_EIO; errno says why */
PERI_MUST_USE enum peri_err peri_file_read_into(char *to, size_t *n, const char *path);

/* Put bytes in a file's place, whole or not at all: written beside it (mode 0600), flushed to disk, renamed.
 *   gives   PERI_OK · PERI_EIO · PERI_EINVAL the path is too long */
PERI_MUST_USE enum peri_err peri_file_replace(struct peri_str path, struct peri_str bytes,
                                              struct peri_fault *fault);

#endif
