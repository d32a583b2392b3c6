/* Whole files, read and written. */
#ifndef PERI_BASE_FILE_H
#define PERI_BASE_FILE_H

#include "base/buf.h"

/* Append all of a file.
 *   gives   PERI_OK · PERI_ENOTFOUND · PERI_EIO · PERI_ETOOBIG, PERI_ENOMEM of the buffer; the reason, with the path, in
 *           `fault` (may be NULL) */
PERI_MUST_USE enum peri_err peri_file_read(struct peri_buf *out, struct peri_str path,
                                           struct peri_fault *fault);

/* Put bytes in a file's place, whole or not at all: written beside it (mode 0600), flushed to disk, renamed.
 *   gives   PERI_OK · PERI_EIO · PERI_EINVAL the path is too long */
PERI_MUST_USE enum peri_err peri_file_replace(struct peri_str path, struct peri_str bytes,
                                              struct peri_fault *fault);

#endif
