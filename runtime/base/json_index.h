/* Where the children of large containers are: private to the files json_*.c.
 *
 * The tape is a chain of skips, so the n-th element and a member are found by going through the container. That is the
 * fastest way for the small containers that requests are made of, and quadratic for a loop over a large one. A container
 * of more than PERI_JSON_INDEX_MIN children gets an index on demand: how many children there are, where every 16th
 * element of an array begins, and a hash table of an object's names. When memory runs out there is no index, and the
 * chain is walked as before. Opening a container ends its index, a rollback ends all of them.
 */
#ifndef PERI_BASE_JSON_INDEX_H
#define PERI_BASE_JSON_INDEX_H

#include "base/json_tape.h"

#define PERI_JSON_INDEX_MIN 64

/* The children of a container on the tape, or PERI_JSON_NONE: it has no index yet. */
uint32_t peri_json_index_count(const struct peri_json *j, uint32_t container);
/* Going through it took `count` steps: an index is made when those were many. */
void peri_json_index_note(struct peri_json *j, uint32_t container, uint32_t count);

/* An element of an array on the tape that is further away than PERI_JSON_INDEX_MIN.
 *   gives   false: there is no index; otherwise *out is the node, or PERI_JSON_NONE */
bool peri_json_index_at(struct peri_json *j, uint32_t *out, uint32_t array, size_t index);

/* The last member of that name: a node of its name on the tape, or the place in the list of an open object.
 *   gives   false: there is no index; otherwise *out is it, or PERI_JSON_NONE */
bool peri_json_index_name(struct peri_json *j, uint32_t *out, uint32_t object,
                          struct peri_str name);
/* In an open object: the next earlier member of the name that stands at `place`; PERI_JSON_NONE. It is a loop over
 * the list when there is no index. */
uint32_t peri_json_index_earlier(struct peri_json *j, uint32_t object, uint32_t place,
                                 struct peri_str name);
/* A member was appended to an open object. */
void peri_json_index_add(struct peri_json *j, uint32_t object, uint32_t place);

/* The index of a container, or all of them, is of no more use. */
void peri_json_index_drop(struct peri_json *j, uint32_t container);
void peri_json_index_done(struct peri_json *j);
size_t peri_json_index_memory(const struct peri_json *j);

#endif
