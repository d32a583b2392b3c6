/* Files that people edit while we run: told when one of them has become another.
 *
 * Editors write a new file and rename it over the old one, so the folders are watched, and a change counts when the
 * file's own identity (inode, size, time) differs. Changes that come together are told once.
 */
#ifndef PERI_NET_FILE_WATCH_H
#define PERI_NET_FILE_WATCH_H

#include "base/str.h"
#include "net/loop.h"

struct peri_file_watch;

/*   paths    copied
 *   changed  runs on the loop, a few milliseconds after the last of a run of changes
 *   gives    PERI_OK · PERI_ENOMEM · PERI_EIO the system has no more watches */
PERI_MUST_USE enum peri_err peri_file_watch_open(struct peri_file_watch **out,
                                                 struct peri_loop *loop,
                                                 const struct peri_str *paths, size_t count,
                                                 void (*changed)(void *arg), void *arg);
/* Takes NULL. */
void peri_file_watch_close(struct peri_file_watch *w);

#endif
