/* Structs that host programs hand over and that grow: each begins with its size in bytes, as the program was built.
 *
 * Members that are added are whole words (a pointer, size_t, uint64_t, struct peri_str): an older library looks whether
 * they are 0, and the bytes of padding need not be. */
#ifndef PERI_BASE_SIZED_H
#define PERI_BASE_SIZED_H

#include "perilune.h"

/* Read one. A program built when there were fewer members left the others at 0; one built when there are more may only
 * use those that are known here.
 *   out, size   the struct as it is now; its own size member becomes `size`
 *   given       what the program hands over
 *   gives       PERI_OK · PERI_EINVAL it has no size, or a member is set that is not known here */
PERI_MUST_USE enum peri_err peri_sized_read(void *out, size_t size, const void *given);
/* Write one for a program whose struct says in its size member how much room there is.
 *   gives       PERI_OK · PERI_EINVAL it has no size, or is larger than what is known here */
PERI_MUST_USE enum peri_err peri_sized_write(void *given, const void *from, size_t size);

#endif
