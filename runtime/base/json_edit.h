/* Edits of a document as splices: what is not touched keeps its bytes, with its order, white space, number
 * notation and escapes. What is added is written as given, with no white space around it. The edits themselves are
 * declared in perilune.h, as host programs make them, too; here are savepoints and the text that comes of it all.
 */
#ifndef PERI_BASE_JSON_EDIT_H
#define PERI_BASE_JSON_EDIT_H

#include "base/json.h"

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

/* The whole text as it now stands: the original bytes, with no copy, when nothing was edited; else written to
 * `out`, which is emptied first.
 *   gives   p NULL when the buffer failed (its `err` says why) */
struct peri_str peri_json_text(const struct peri_json *j, struct peri_buf *out);

#endif
