/* What the table says, in three languages: JSON Schema, Markdown, LuaLS. */
#include <inttypes.h>
#include <stdio.h>

#include "config/options_reader.h"

#define SECRET_LUA "string|perilune.secret"

/* Every record that is a list item or a group gets a name of its own; the depth is that of the table. */
static void each_record(const struct peri_record *record,
                        void (*visit)(struct peri_buf *, const struct peri_record *),
                        struct peri_buf *out) {
    for (size_t i = 0; i < record->count; i++)
        if (record->options[i].record != NULL) each_record(record->options[i].record, visit, out);
    visit(out, record);
}

/* ---- JSON Schema ---- */

static void schema_number(struct peri_buf *out, const struct peri_option *o) {
    const char *type = o->type == PERI_OPTION_PRICE ? "number" : "integer";
    const char *pattern = o->type == PERI_OPTION_DURATION ? "^[0-9]+(ms|s|m|h|d)$"
                          : o->type == PERI_OPTION_SIZE   ? "^[0-9]+(B|KiB|MiB|GiB)$"
                                                          : NULL;
    if (pattern != NULL) peri_buf_add(out, PERI_STR("\"anyOf\":[{"));
    peri_buf_addf(out, "\"type\":\"%s\",\"minimum\":%" PRIu64 ",\"maximum\":%" PRIu64, type,
                  o->least, o->most);
    if (pattern != NULL) peri_buf_addf(out, "},{\"type\":\"string\",\"pattern\":\"%s\"}]", pattern);
}

static void schema_words(struct peri_buf *out, const struct peri_option *o) {
    struct peri_str word, rest = peri_str_of(o->words);
    const char *comma = "";
    peri_buf_add(out, PERI_STR("\"enum\":["));
    for (; peri_str_cut(&word, &rest, ' '); comma = ",") {
        peri_buf_add(out, peri_str_of(comma));
        peri_buf_add_json(out, word);
    }
    peri_buf_add_char(out, ']');
}

static void schema_type(struct peri_buf *out, const struct peri_option *o) {
    const char *item =
        o->type == PERI_OPTION_SECRETS ? "{\"$ref\":\"#/$defs/secret\"}" : "{\"type\":\"string\"}";
    switch (o->type) {
    case PERI_OPTION_BOOL: peri_buf_add(out, PERI_STR("\"type\":\"boolean\"")); break;
    case PERI_OPTION_INT:
    case PERI_OPTION_DURATION:
    case PERI_OPTION_SIZE:
    case PERI_OPTION_PRICE: schema_number(out, o); break;
    case PERI_OPTION_WORD: schema_words(out, o); break;
    case PERI_OPTION_STRING: peri_buf_add(out, PERI_STR("\"type\":\"string\"")); break;
    case PERI_OPTION_URL:
        peri_buf_add(out,
                     PERI_STR("\"type\":\"string\",\"pattern\":\"^[Hh][Tt][Tt][Pp][Ss]?://\""));
        break;
    case PERI_OPTION_SECRET: peri_buf_add(out, PERI_STR("\"$ref\":\"#/$defs/secret\"")); break;
    case PERI_OPTION_LISTEN:
    case PERI_OPTION_STRINGS:
    case PERI_OPTION_URLS:
    case PERI_OPTION_SECRETS:
        peri_buf_addf(out, "\"anyOf\":[%s,{\"type\":\"array\",\"items\":%s}]", item, item);
        break;
    case PERI_OPTION_GROUP: peri_buf_addf(out, "\"$ref\":\"#/$defs/%s\"", o->record->name); break;
    case PERI_OPTION_RECORDS:
        peri_buf_addf(out, "\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/%s\"}",
                      o->record->name);
        break;
    case PERI_OPTION_CUSTOM: {
        struct peri_str inner = peri_str_of(o->schema);
        peri_buf_add(out, (struct peri_str){ inner.p + 1, inner.n - 2 });
        break;
    }
    }
}

static void schema_property(struct peri_buf *out, const char *name, const struct peri_option *o) {
    peri_buf_addf(out, "\n    \"%s\":{", name);
    schema_type(out, o);
    if (o->fallback != NULL) {
        uint64_t number;
        bool is_plain = o->type == PERI_OPTION_BOOL ||
                        peri_str_to_u64(&number, peri_str_of(o->fallback)) == PERI_OK;
        peri_buf_add(out, PERI_STR(",\"default\":"));
        if (is_plain)
            peri_buf_add(out, peri_str_of(o->fallback));
        else
            peri_buf_add_json(out, peri_str_of(o->fallback));
    }
    peri_buf_add(out, PERI_STR(",\"description\":"));
    peri_buf_add_json(out, peri_str_of(o->help));
    peri_buf_add_char(out, '}');
}

static void schema_record(struct peri_buf *out, const struct peri_record *record) {
    const char *comma = "";
    peri_buf_addf(out,
                  ",\n  \"%s\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[",
                  record->name);
    for (size_t i = 0; i < record->count; i++) {
        if (!record->options[i].is_required) continue;
        peri_buf_addf(out, "%s\"%s\"", comma, record->options[i].name);
        comma = ",";
    }
    peri_buf_add(out, PERI_STR("],\"properties\":{"));
    comma = "";
    for (size_t i = 0; i < record->count; i++) {
        const struct peri_option *o = &record->options[i];
        peri_buf_add(out, peri_str_of(comma));
        comma = ",";
        schema_property(out, o->name, o);
        if (o->also == NULL) continue;
        peri_buf_add_char(out, ',');
        schema_property(out, o->also, o);
    }
    peri_buf_add(out, PERI_STR("}}"));
}

void peri_options_schema(struct peri_buf *out) {
    peri_buf_add(
        out,
        PERI_STR(
            "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"perilune\","
            "\"$ref\":\"#/$defs/config\",\"$defs\":{\n"
            "  \"secret\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":"
            "{\"secret\":{\"type\":\"string\",\"pattern\":\"^(env|file|cred):\"}},"
            "\"required\":[\"secret\"],\"additionalProperties\":false}]}"));
    each_record(&peri_options, schema_record, out);
    /* A model stands in no row of type GROUP or RECORDS: its reader takes shorthands, too. */
    each_record(&peri_record_model, schema_record, out);
    peri_buf_add(out, PERI_STR("}}\n"));
}

/* ---- LuaLS ---- */

static void lua_type(struct peri_buf *out, const struct peri_option *o) {
    struct peri_str word, rest;
    const char *bar = "";
    switch (o->type) {
    case PERI_OPTION_BOOL: peri_buf_add(out, PERI_STR("boolean")); break;
    case PERI_OPTION_INT: peri_buf_add(out, PERI_STR("integer")); break;
    case PERI_OPTION_PRICE: peri_buf_add(out, PERI_STR("number")); break;
    case PERI_OPTION_DURATION:
    case PERI_OPTION_SIZE: peri_buf_add(out, PERI_STR("integer|string")); break;
    case PERI_OPTION_STRING:
    case PERI_OPTION_URL: peri_buf_add(out, PERI_STR("string")); break;
    case PERI_OPTION_WORD:
        rest = peri_str_of(o->words);
        for (; peri_str_cut(&word, &rest, ' '); bar = "|")
            peri_buf_addf(out, "%s\"%.*s\"", bar, PERI_STR_ARGS(word));
        break;
    case PERI_OPTION_SECRET: peri_buf_add(out, PERI_STR(SECRET_LUA)); break;
    case PERI_OPTION_LISTEN:
    case PERI_OPTION_STRINGS:
    case PERI_OPTION_URLS: peri_buf_add(out, PERI_STR("string|string[]")); break;
    case PERI_OPTION_SECRETS: peri_buf_add(out, PERI_STR(SECRET_LUA "|(" SECRET_LUA ")[]")); break;
    case PERI_OPTION_GROUP: peri_buf_addf(out, "perilune.config.%s", o->record->name); break;
    case PERI_OPTION_RECORDS: peri_buf_addf(out, "perilune.config.%s[]", o->record->name); break;
    case PERI_OPTION_CUSTOM: peri_buf_add(out, peri_str_of(o->lua)); break;
    }
}

static void lua_field(struct peri_buf *out, const char *name, const struct peri_option *o,
                      bool is_required) {
    peri_buf_addf(out, "---@field %s%s ", name, is_required ? "" : "?");
    lua_type(out, o);
    peri_buf_addf(out, " %s", o->help);
    if (o->fallback != NULL && o->fallback[0] != '\0')
        peri_buf_addf(out, " Default: %s.", o->fallback);
    peri_buf_add_char(out, '\n');
}

static void lua_record(struct peri_buf *out, const struct peri_record *record) {
    bool is_root = record == &peri_options;
    peri_buf_addf(out, "\n---@class perilune.config%s%s\n", is_root ? "" : ".",
                  is_root ? "" : record->name);
    for (size_t i = 0; i < record->count; i++) {
        const struct peri_option *o = &record->options[i];
        lua_field(out, o->name, o, o->is_required);
        if (o->also != NULL) lua_field(out, o->also, o, false);
    }
}

void peri_options_stub(struct peri_buf *out) {
    peri_buf_add(
        out,
        PERI_STR(
            "---@meta\n"
            "-- The table that perilune.lua returns. Generated: `perilune check --stub`.\n\n"
            "--- A token for a secret; its bytes never enter Lua.\n"
            "---@class perilune.secret\n\n"
            "--- The value of a variable, `default` when it is not set.\n"
            "---@param name string\n---@param default? string\n---@return string?\nfunction "
            "env(name, default) end\n\n"
            "--- The text of a file without its last newline.\n"
            "---@param path string\n---@return string\nfunction file(path) end\n\n"
            "--- A secret from \"env:NAME\", \"file:PATH\" or \"cred:NAME\".\n"
            "---@param source string\n---@return perilune.secret\nfunction secret(source) end\n\n"
            "--- What another configuration file returns.\n"
            "---@param path string\n---@return any\nfunction include(path) end\n"));
    each_record(&peri_record_model, lua_record, out);
    each_record(&peri_options, lua_record, out);
}

/* ---- the reference page ---- */

static const char *type_words(const struct peri_option *o) {
    switch (o->type) {
    case PERI_OPTION_BOOL: return "true or false";
    case PERI_OPTION_INT: return "whole number";
    case PERI_OPTION_DURATION: return "duration";
    case PERI_OPTION_SIZE: return "size";
    case PERI_OPTION_PRICE: return "number";
    case PERI_OPTION_STRING: return "text";
    case PERI_OPTION_WORD: return "word";
    case PERI_OPTION_URL: return "URL";
    case PERI_OPTION_LISTEN: return "address, or a list";
    case PERI_OPTION_STRINGS: return "text, or a list";
    case PERI_OPTION_URLS: return "URL, or a list";
    case PERI_OPTION_SECRET: return "secret";
    case PERI_OPTION_SECRETS: return "secret, or a list";
    case PERI_OPTION_GROUP: return "table";
    case PERI_OPTION_RECORDS: return "list of tables";
    case PERI_OPTION_CUSTOM: return "see right";
    }
    return "";
}

static void reference_row(struct peri_buf *out, const struct peri_option *o) {
    struct peri_str word, rest;
    peri_buf_addf(out, "| `%s`", o->name);
    if (o->also != NULL) peri_buf_addf(out, ", `%s`", o->also);
    peri_buf_addf(out, " | %s", type_words(o));
    if (o->words != NULL) {
        const char *comma = ": ";
        rest = peri_str_of(o->words);
        for (; peri_str_cut(&word, &rest, ' '); comma = ", ")
            peri_buf_addf(out, "%s`%.*s`", comma, PERI_STR_ARGS(word));
    } else if (o->most > 0) {
        peri_buf_addf(out, ", %" PRIu64 " to %" PRIu64, o->least, o->most);
        if (o->type == PERI_OPTION_DURATION) peri_buf_add(out, PERI_STR(" ms"));
        if (o->type == PERI_OPTION_SIZE) peri_buf_add(out, PERI_STR(" bytes"));
    }
    if (o->fallback != NULL && o->fallback[0] != '\0')
        peri_buf_addf(out, " | `%s` | ", o->fallback);
    else
        peri_buf_add(out, o->is_required ? PERI_STR(" | required | ") : PERI_STR(" |  | "));
    peri_buf_addf(out, "%s | %s", o->is_reloadable ? "yes" : "no", o->help);
    if (o->network != NULL) peri_buf_addf(out, " Network: %s.", o->network);
    peri_buf_add(out, PERI_STR(" |\n"));
}

static void reference_record(struct peri_buf *out, const char *path,
                             const struct peri_record *record) {
    peri_buf_addf(out,
                  "\n## %s\n\n| option | value | default | reloadable | what it says "
                  "|\n|---|---|---|---|---|\n",
                  path);
    for (size_t i = 0; i < record->count; i++) reference_row(out, &record->options[i]);
    for (size_t i = 0; i < record->count; i++) {
        const struct peri_option *o = &record->options[i];
        char inner[128];
        if (o->record == NULL) continue;
        bool is_root = record == &peri_options;
        const char *list = o->type == PERI_OPTION_RECORDS ? "[]" : "";
        snprintf(inner, sizeof inner, "%s%s%s%s", is_root ? "" : path, is_root ? "" : ".", o->name,
                 list);
        reference_record(out, inner, o->record);
    }
}

void peri_options_reference(struct peri_buf *out) {
    peri_buf_add(out, PERI_STR("# Options\n\n"
                               "`perilune.lua` returns one table; the same in JSON is accepted "
                               "from a `.json` file. A duration is a number of\n"
                               "milliseconds or text such as \"500ms\", \"30s\", \"2m\", \"1h\", "
                               "\"1d\"; a size is a number of bytes or text such as\n"
                               "\"64KiB\", \"32MiB\", \"1GiB\". A secret is `secret \"env:NAME\"`, "
                               "`secret \"file:PATH\"` (mode 0600) or\n"
                               "`secret \"cred:NAME\"` (systemd); in JSON `{\"secret\": "
                               "\"env:NAME\"}`. Each single option at the top and in a\n"
                               "group is also a variable: `limits.body_bytes` is "
                               "`PERILUNE_LIMITS_BODY_BYTES`, and a flag:\n"
                               "`--set limits.body_bytes=64MiB`. A flag beats the environment, the "
                               "environment the file, the file the default.\n"));
    reference_record(out, "At the top", &peri_options);
    reference_record(out, "providers[].models.NAME", &peri_record_model);
}
