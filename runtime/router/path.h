/* What a request's path asks for, however the client's base URL was written.
 *
 * Base URLs of clients end in a slash or do not, have the version or lack it, and libraries put their own in front: so
 * empty segments, leading "v1" and a slash at the end make no difference. Case does, as everywhere in paths.
 */
#ifndef PERI_ROUTER_PATH_H
#define PERI_ROUTER_PATH_H

#include "base/str.h"

/* Both are the same path: "/v1/chat/completions" and "//chat/completions/". */
bool peri_path_is(struct peri_str path, struct peri_str known);

/* What stands behind `known` and a slash, as the client wrote it, empty segments and all.
 *   gives   p NULL: the path does not begin so, or ends there */
struct peri_str peri_path_behind(struct peri_str path, struct peri_str known);

/* Undo percent-encoding (RFC 3986, 2.1). A '%' that begins no escape stays.
 *   gives   false when it needs more than `room` bytes */
bool peri_path_decode(char *out, size_t room, size_t *n, struct peri_str text);

/* How unlike two paths are: the edit distance of what peri_path_is compares, at most `limit + 1`. */
unsigned peri_path_distance(struct peri_str path, struct peri_str known, unsigned limit);

#endif
