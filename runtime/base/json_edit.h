/* Edits of a document as splices: what is not touched keeps its bytes, with its order, white space, number
 * notation and escapes. What is added is written as given, with no white space around it.
 *
 * Every edit checks the JSON it is given, takes a copy, and either happens completely or not at all. What was
 * set can be read, walked and edited again at once. A node that was replaced or removed, and all below it, is no
 * longer live; editing it gives PERI_ENOTFOUND.
 *
 * All of these give: PERI_OK · PERI_EMALFORMED or PERI_ETOOBIG for `json` (text in `fault`, which may be NULL) ·
 * PERI_ENOTFOUND the node is not live · PERI_EINVAL it is of the wrong kind · PERI_ENOMEM.
 */
#ifndef PERI_BASE_JSON_EDIT_H
#define PERI_BASE_JSON_EDIT_H

#include "base/json.h"

/* Set a member, in its old place or at the end. Earlier members of the same name go. */
enum peri_err peri_json_set(struct peri_json *j, uint32_t object, struct peri_str name,
                            struct peri_str json, struct peri_fault *fault);
enum peri_err peri_json_set_string(struct peri_json *j, uint32_t object, struct peri_str name,
                                   struct peri_str text);
enum peri_err peri_json_set_int(struct peri_json *j, uint32_t object, struct peri_str name,
                                int64_t value);
/* Remove every member of that name; none is no error. */
enum peri_err peri_json_unset(struct peri_json *j, uint32_t object, struct peri_str name);

/* Insert an element before `index`; an index at or behind the end appends (SIZE_MAX does). */
enum peri_err peri_json_insert(struct peri_json *j, uint32_t array, size_t index,
                               struct peri_str json, struct peri_fault *fault);

/* Put another value in a node's place; the root, too. */
enum peri_err peri_json_replace(struct peri_json *j, uint32_t node, struct peri_str json,
                                struct peri_fault *fault);
/* Take an element, or a member with its name, out of its container. The root can not go: PERI_EINVAL. */
enum peri_err peri_json_remove(struct peri_json *j, uint32_t node);

/* Savepoints: what a document is now, and the way back to it. A mark is made without allocating or copying, needs no
 * release, and is good until the document is rolled back to an earlier one; a fork has none of the marks of its
 * original. After a rollback the text is byte for byte what it was at the mark, nodes that edits removed since are
 * live again, and nodes made since are not and never will be. The memory of the edits taken back stays with the
 * document and counts against its limits. A rollback can not fail. */
struct peri_json_mark {
    uint32_t undos, nodes;
    unsigned flags;
    bool is_edited;
};
struct peri_json_mark peri_json_mark(const struct peri_json *j);
void peri_json_rollback(struct peri_json *j, struct peri_json_mark mark);

bool peri_json_is_edited(const struct peri_json *j);
/* Append one value as it now stands.
 *   gives   PERI_OK · PERI_ENOTFOUND · PERI_ENOMEM or PERI_ETOOBIG of the buffer */
enum peri_err peri_json_add_node(struct peri_buf *out, const struct peri_json *j, uint32_t node);
/* The whole text as it now stands: the original bytes, with no copy, when nothing was edited; else written to
 * `out`, which is emptied first.
 *   gives   p NULL when the buffer failed (its `err` says why) */
struct peri_str peri_json_text(const struct peri_json *j, struct peri_buf *out);

#endif
