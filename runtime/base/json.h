/* Lossless JSON: one strict pass over a text makes a tape of offsets; nothing is copied and nothing is rewritten.
 *
 * The whole grammar of RFC 8259 and the UTF-8 of every byte are checked while scanning, so a document that
 * exists is valid. The functions that host programs read documents with, too, are declared in perilune.h.
 *
 * A value is named by a `uint32_t` node, good as long as the document, also across edits
 * (json_edit.h) that do not remove it. Of a member that stands twice in an object the last one counts, as with
 * nearly every parser a provider may use; members that decide about routing are not allowed to stand twice
 * (`routed`), because two parsers that choose differently would route one request and forward another.
 *
 * Escapes that no UTF-8 text can hold are accepted and passed on as they stand: a lone surrogate ("\ud800")
 * decodes to U+FFFD, "\u0000" to a NUL byte.
 */
#ifndef PERI_BASE_JSON_H
#define PERI_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/sort.h"

/* Zero means the default that stands behind the unit. */
struct peri_json_options {
    size_t depth; /* containers inside each other, 128; at most 1000 */
    size_t
        nodes; /* values and member names, of edits too, 2097152; at most 16000000; 16 bytes each */
    size_t bytes;      /* of the text, 67108864; at most 2^31 */
    size_t edit_bytes; /* that all edits together may take, 67108864; at most 2^30 */
    /* Members of the root that may stand only once; names compared after unescaping. At most 64. */
    const struct peri_str *routed;
    size_t routed_count;
    bool is_padded;    /* 32 readable NUL bytes follow the text */
    bool keeps_text;   /* take a copy: the caller's bytes may go */
    bool lenient_utf8; /* bytes that are not UTF-8 pass inside strings */
    /* Asked each time so many values and names were read: false gives the reading up. NULL: nobody is asked. */
    bool (*may_go_on)(void *arg);
    void *arg;
};
#define PERI_JSON_ASK_NODES 32768

/* Scan a text.
 *   text     borrowed for the life of the document, unless options->keeps_text
 *   options  NULL: all defaults
 *   gives    PERI_OK · PERI_EMALFORMED · PERI_ETOOBIG a limit of `options` · PERI_EEXIST a routed member twice ·
 *            PERI_ENOMEM; `fault` (may be NULL) says "line 2, column 7, byte 31: what was expected" */
PERI_MUST_USE enum peri_err peri_json_parse(struct peri_json **out, struct peri_str text,
                                            const struct peri_json_options *options,
                                            struct peri_fault *fault);

/* A second document with the same values (edits included) and its own future: what one attempt changes for its
 * provider, the next does not see. Nodes keep their numbers. Texts are shared: free it before `j`.
 *   gives   PERI_OK · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_json_fork(struct peri_json **out, const struct peri_json *j);

/* Be told when a document ends. The link is the caller's; peri_list_remove takes the watch away. */
struct peri_json_watch {
    struct peri_list link;
    void (*on_end)(struct peri_json_watch *watch); /* the watch is already out of the list */
};
void peri_json_watch(struct peri_json *j, struct peri_json_watch *watch);

/* Bytes the document holds, without a borrowed text. */
size_t peri_json_memory(const struct peri_json *j);

/* The container it stands in; PERI_JSON_NONE for the root. */
uint32_t peri_json_parent(const struct peri_json *j, uint32_t node);
const char *peri_json_kind_name(enum peri_json_kind kind); /* "object" */

/* Children are found in a few steps, in any order and in documents of any size: a container with many children gets an
 * index when it is asked for one that is far away (its memory is the document's), a small one is walked. */

/* A string's text, a view of the document when it holds no escape, else decoded into the arena.
 *   gives   p NULL when it is no string or memory ran out */
struct peri_str peri_json_string(const struct peri_json *j, uint32_t node, struct peri_arena *a);

/* The same values: member order, number notation and escapes do not matter. Of members that stand twice the
 * last counts.
 *   gives   false also when memory ran out */
PERI_MUST_USE bool peri_json_equal(struct peri_json *a, uint32_t in_a, struct peri_json *b,
                                   uint32_t in_b);
/* The same, told of while it works (base/sort.h): everything that has to be freed is in the arena.
 *   gives   false also when the arena is full */
PERI_MUST_USE bool peri_json_equal_paced(struct peri_json *a, uint32_t in_a, struct peri_json *b,
                                         uint32_t in_b, struct peri_arena *arena,
                                         struct peri_pace *pace);

/* The first watch of which `is_of` says so; NULL. */
struct peri_json_watch *peri_json_watcher(const struct peri_json *j, const void *of,
                                          bool (*is_of)(const struct peri_json_watch *watch,
                                                        const void *of));

#endif
