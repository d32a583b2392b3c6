/* The one table of everything that can be configured, and what is made of it: the checker, the defaults, the
 * dump with origins, the JSON Schema, the typed Lua stub and the reference page.
 *
 * A record is one table of the configuration file and fills one C struct; an option is one of its keys. Reading
 * goes through the record's options in their order, so that a later one may rest on an earlier one.
 */
#ifndef PERI_CONFIG_OPTIONS_H
#define PERI_CONFIG_OPTIONS_H

#include "config/config.h"
#include "config/config_dump.h"
#include "config/config_tree.h"
#include "config/secret_source.h"

struct peri_reader;
struct peri_record;

enum peri_option_type {
    PERI_OPTION_BOOL,
    PERI_OPTION_INT,      /* whole number, 0 or more */
    PERI_OPTION_DURATION, /* uint64_t of milliseconds: 500, "500ms", "30s", "2m", "1h", "1d" */
    PERI_OPTION_SIZE,     /* bytes: 65536, "64KiB", "32MiB", "1GiB" */
    PERI_OPTION_PRICE,    /* units per million tokens, kept in millionths */
    PERI_OPTION_STRING,
    PERI_OPTION_WORD, /* one of `words`: struct peri_str, or its index when the field is an enum */
    PERI_OPTION_URL, /* base URL of a provider: http or https, no user-info or fragment (options_url.c) */
    PERI_OPTION_LISTEN,  /* strings: "127.0.0.1:9000", "[::1]:0", "unix:/path" */
    PERI_OPTION_STRINGS, /* a string or a list of strings */
    PERI_OPTION_URLS,    /* a URL or a list of them */
    PERI_OPTION_SECRET,
    PERI_OPTION_SECRETS, /* a secret or a list of them */
    PERI_OPTION_GROUP,   /* a record that fills the same struct */
    PERI_OPTION_RECORDS, /* a list of records */
    PERI_OPTION_CUSTOM   /* `read` knows */
};

struct peri_option {
    const char *name;
    const char *also;      /* another spelling of the name, or NULL */
    const char *elsewhere; /* what another router calls it: suggested, not taken. Or NULL */
    enum peri_option_type type;
    size_t at, width; /* the field: offset in the record's struct, and size */
    size_t count_at;  /* of the field that counts, for lists */
    const char
        *fallback; /* the default as it would be written; NULL: none (the field stays as it is) */
    uint64_t least, most; /* most 0: no bound of its own */
    const char *unit;     /* for people: "requests" */
    const char *words;    /* of a WORD, separated by spaces */
    const char *network;  /* only for providers of that network: "gonka", "0g", "gonka 0g" */
    const struct peri_record *record;
    void (*read)(struct peri_reader *r, const struct peri_option *o, const struct peri_node *node,
                 void *at);
    const char *schema; /* of a CUSTOM: its JSON Schema, and its type for the Lua stub */
    const char *lua;
    bool is_required;
    bool is_reloadable;
    const char *help;
};

struct peri_record {
    const char *name; /* of the type, for schema and stub: "provider" */
    const struct peri_option *options;
    size_t count;
    size_t size; /* of the struct filled while reading */
    size_t kept; /* its first bytes, which become the item of the list; 0: all of it */
    void (*begin)(struct peri_reader *r, void *at);                               /* may be NULL */
    void (*check)(struct peri_reader *r, const struct peri_node *node, void *at); /* may be NULL */
};

extern const struct peri_record peri_options;

struct peri_options_context {
    struct peri_str folder;      /* relative paths start here; empty: the working directory */
    struct peri_secret_box *box; /* where secrets come from */
    struct peri_dump *dump;      /* every value with its origin, NULL when not wanted */
};

/* From a tree to a configuration.
 *   out     yours, release with peri_config_unref
 *   root    a table
 *   faults  everything that is wrong, and warnings, behind what is there already
 *   gives   PERI_OK · PERI_ECONFIG see faults · PERI_ENOMEM */
PERI_MUST_USE enum peri_err peri_options_read(struct peri_config **out,
                                              const struct peri_node *root,
                                              const struct peri_options_context *context,
                                              struct peri_fault_list *faults);

/* The option at a dotted path below the root ("limits.body_bytes"); NULL when there is none. */
const struct peri_option *peri_options_find(struct peri_str path);
/* The option of that name; NULL when there is none. */
const struct peri_option *peri_record_find(const struct peri_record *record, struct peri_str name);

/* What the table says, as text; an error is remembered in `out`. */
void peri_options_schema(struct peri_buf *out);    /* JSON Schema, draft 2020-12 */
void peri_options_reference(struct peri_buf *out); /* Markdown */
void peri_options_stub(struct peri_buf *out);      /* LuaLS classes */

#endif
