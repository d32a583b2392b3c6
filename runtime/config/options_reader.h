/* Inside the option table: what readers of single options share. Only config/options*.c includes this. */
#ifndef PERI_CONFIG_OPTIONS_READER_H
#define PERI_CONFIG_OPTIONS_READER_H

#include "config/options.h"

#define PERI_OPTION_PATH_MAX 256

struct peri_reader {
    struct peri_config *config;
    struct peri_arena *arena; /* the configuration's */
    const struct peri_options_context *context;
    struct peri_fault_list *faults;
    enum peri_err err; /* PERI_ENOMEM once memory ran out */
    char path[PERI_OPTION_PATH_MAX];
    size_t path_n;
    /* The provider being read, for the options that only some networks have. */
    struct peri_str network;
};

/* Longer paths are cut. `push` gives what `pop` takes. */
size_t peri_reader_push(struct peri_reader *r, struct peri_str name);
size_t peri_reader_push_index(struct peri_reader *r, size_t index);
void peri_reader_pop(struct peri_reader *r, size_t path_n);

/* "'PATH' TEXT", at the node. */
void peri_reader_fault(struct peri_reader *r, const struct peri_node *node, const char *format, ...)
    PERI_PRINTF(3, 4);
/* "'PATH' must be EXPECTED, got VALUE". */
void peri_reader_expected(struct peri_reader *r, const struct peri_node *node,
                          const char *expected);
void *peri_reader_alloc(struct peri_reader *r, size_t n);
struct peri_str peri_reader_dup(struct peri_reader *r, struct peri_str s);
/* Into the dump: JSON text; `node` NULL means a default. */
void peri_reader_note(struct peri_reader *r, const struct peri_node *node, struct peri_str json);
void peri_reader_note_str(struct peri_reader *r, const struct peri_node *node,
                          struct peri_str text);
void peri_reader_note_secret(struct peri_reader *r, const struct peri_node *node);

/* One option, or a whole record with its path already pushed; `node` NULL: all defaults. */
void peri_reader_option(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at);
void peri_reader_record(struct peri_reader *r, const struct peri_record *record,
                        const struct peri_node *node, void *at);

/* Values. Each gives false after a fault. */
bool peri_reader_string(struct peri_reader *r, const struct peri_node *node, const char *expected,
                        struct peri_str *out);
bool peri_reader_secret(struct peri_reader *r, const struct peri_node *node,
                        struct peri_secret *out);
bool peri_reader_url(struct peri_reader *r, const struct peri_node *node, struct peri_str *out);
void peri_read_base_url(struct peri_reader *r, const struct peri_node *node, struct peri_str *out);
bool peri_reader_number(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, uint64_t *out);
/* The items of a list, or the one value that is no list; 0 items is fine. */
size_t peri_node_item_count(const struct peri_node *node);
const struct peri_node *peri_node_first_item(const struct peri_node *node);

/* A base URL. gives NULL when it is one, with `out` cut of trailing slashes; else what was expected. */
const char *peri_option_url(struct peri_str text, struct peri_str *out);
/* The base URL of a provider, without the endpoint that may have been pasted with it. Its query goes with every
 * request. gives NULL when it is one, else what was expected. */
struct peri_base_url {
    struct peri_str base, query; /* views into the text */
    bool has_path;
};
const char *peri_option_base_url(struct peri_base_url *out, struct peri_str text);
/* An origin as browsers write it, "https://app.example.com:8443", or "*". */
bool peri_option_is_origin(struct peri_str text);
/* An address to listen on. gives NULL when it is one, else what was expected. */
const char *peri_option_listen(struct peri_str text, bool *is_loopback);
/* Ids travel in headers, logs and metrics. */
#define PERI_OPTION_ID_EXPECTED "1 to 128 letters, digits or any of . _ : / @ -"
bool peri_option_is_id(struct peri_str id);
/* A header name that may be set for a provider: not one that the router or libcurl sets. */
bool peri_option_is_header_name(struct peri_str name);
/* "30s" and "64KiB". gives false when it is none, or beyond 64 bits. */
bool peri_option_duration(struct peri_str text, uint64_t *ms);
bool peri_option_size(struct peri_str text, uint64_t *bytes);

/* Readers and checks of the table's own rows (options_read.c, options_provider.c, options_url.c). */
void peri_read_models(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at);
void peri_read_aliases(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at);
void peri_read_headers(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at);
void peri_read_policies(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at);
void peri_read_keys(struct peri_reader *r, const struct peri_option *o,
                    const struct peri_node *node, void *at);
void peri_read_broker(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at);
void peri_read_network(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at);
void peri_read_ca_file(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at);
void peri_read_endpoints(struct peri_reader *r, const struct peri_option *o,
                         const struct peri_node *node, void *at);
void peri_read_limits(struct peri_reader *r, const struct peri_option *o,
                      const struct peri_node *node, void *at);
void peri_read_weights(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at);
void peri_read_webhook(struct peri_reader *r, const struct peri_option *o,
                       const struct peri_node *node, void *at);
void peri_read_statuses(struct peri_reader *r, const struct peri_option *o,
                        const struct peri_node *node, void *at);
void peri_read_tags(struct peri_reader *r, const struct peri_option *o,
                    const struct peri_node *node, void *at);

/* What a provider's options fill; the first member is what becomes of it. */
struct peri_read_provider {
    struct peri_config_provider out;
    struct peri_config_gonka gonka;
    struct peri_config_zerog zerog;
    const struct peri_secret *keys, *private_keys;
    size_t key_count, private_key_count;
    struct peri_str prefix;
    uint64_t refresh_ms;
};

/* What a model's options fill. */
struct peri_read_model {
    struct peri_config_model out;
    const struct peri_str *aliases;
    size_t alias_count;
};
void peri_provider_begin(struct peri_reader *r, void *at);
void peri_provider_check(struct peri_reader *r, const struct peri_node *node, void *at);
void peri_cors_check(struct peri_reader *r, const struct peri_node *node, void *at);
void peri_config_check(struct peri_reader *r, const struct peri_node *node, void *at);
extern const struct peri_record peri_record_model, peri_record_provider;

/* ---- for the rows of the table ---- */

/* Where a field is, and how wide. */
#define PERI_ROW_FIELD(type, member)                                                               \
    .at = offsetof(struct type, member), .width = sizeof(((struct type *)NULL)->member)
#define PERI_ROW_LIST(type, member, counter)                                                       \
    PERI_ROW_FIELD(type, member), .count_at = offsetof(struct type, counter)
#define PERI_RECORD(title, type, rows)                                                             \
    .name = title, .options = rows, .count = sizeof rows / sizeof rows[0],                         \
    .size = sizeof(struct type)

#define PERI_DAY_MS  86400000u
#define PERI_WEEK_MS (7 * PERI_DAY_MS)

#endif
