/* A tree grows out of views into the events; no text is copied before the answer is written. */
#include "dialect/fold.h"

#include "base/json_text.h"

/* Choices, tool calls, members of one object: beyond this an answer is none. Each is looked for among the others for each
 * event, all in one turn of the loop: a million members, as many as a document may have, take 0.3 s with 128 and took 2.3 s
 * with 1024. OpenAI allows 128 choices and 128 tools.
 */
#define PLACES_MAX 128

enum kind { ABSENT, RAW, TEXT, OBJECT, LIST, PLACES };

struct piece {
    struct piece *next;
    struct peri_str text; /* what stands between the quotes, or an element of a list */
};

struct node {
    enum kind kind;
    struct peri_str raw;
    struct piece *first, *last; /* TEXT, LIST */
    struct place *places;       /* OBJECT: members in their order; PLACES: elements by index */
    size_t count;
};

struct place {
    struct place *next;
    struct peri_str name; /* with its quotes */
    int64_t index;
    struct node value;
};

struct fold {
    struct peri_json *json;
    struct peri_arena arena;
    enum peri_err err;
};

static bool is_one_of(struct peri_str name, const struct peri_str *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (peri_str_eq(name, names[i])) return true;
    return false;
}
#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof names / sizeof *names)

/* Said anew in each event, or in the first alone. */
static bool is_label(struct peri_str name) {
    static const struct peri_str labels[] = {
        PERI_STR_INIT("\"id\""),           PERI_STR_INIT("\"role\""),
        PERI_STR_INIT("\"type\""),         PERI_STR_INIT("\"name\""),
        PERI_STR_INIT("\"model\""),        PERI_STR_INIT("\"object\""),
        PERI_STR_INIT("\"format\""),       PERI_STR_INIT("\"provider\""),
        PERI_STR_INIT("\"service_tier\""), PERI_STR_INIT("\"system_fingerprint\"")
    };
    return IS_ONE_OF(name, labels);
}

/* The last one is the one that holds. */
static bool is_reason(struct peri_str name) {
    static const struct peri_str reasons[] = { PERI_STR_INIT("\"finish_reason\""),
                                               PERI_STR_INIT("\"native_finish_reason\""),
                                               PERI_STR_INIT("\"stop_reason\"") };
    return IS_ONE_OF(name, reasons);
}

static bool is_placed(struct peri_str name) {
    static const struct peri_str placed[] = { PERI_STR_INIT("\"choices\""),
                                              PERI_STR_INIT("\"tool_calls\"") };
    return IS_ONE_OF(name, placed);
}

static void set_kind(struct node *n, enum kind kind) {
    if (n->kind != kind) *n = (struct node){ .kind = kind };
}

static void add_piece(struct fold *f, struct node *n, struct peri_str text) {
    struct piece *p = peri_arena_alloc(&f->arena, sizeof *p);
    if (p == NULL) {
        f->err = PERI_ENOMEM;
        return;
    }
    *p = (struct piece){ NULL, text };
    if (n->last != NULL)
        n->last->next = p;
    else
        n->first = p;
    n->last = p;
}

static struct place *new_place(struct fold *f, struct node *n, struct place **at) {
    if (n->count++ == PLACES_MAX) f->err = PERI_EPROTO;
    struct place *p = f->err == PERI_OK ? peri_arena_zalloc(&f->arena, sizeof *p) : NULL;
    if (p == NULL) {
        if (f->err == PERI_OK) f->err = PERI_ENOMEM;
        return NULL;
    }
    p->next = *at;
    *at = p;
    return p;
}

static struct place *member_place(struct fold *f, struct node *n, struct peri_str name) {
    struct place **at = &n->places;
    for (; *at != NULL; at = &(*at)->next)
        if (peri_str_eq((*at)->name, name)) return *at;
    struct place *p = new_place(f, n, at);
    if (p != NULL) p->name = name;
    return p;
}

static struct place *element_place(struct fold *f, struct node *n, int64_t index) {
    struct place **at = &n->places;
    for (; *at != NULL && (*at)->index <= index; at = &(*at)->next)
        if ((*at)->index == index) return *at;
    struct place *p = new_place(f, n, at);
    if (p != NULL) p->index = index;
    return p;
}

static void merge(struct fold *f, struct node *n, struct peri_str name, uint32_t value,
                  unsigned depth);

static void merge_object(struct fold *f, struct node *n, uint32_t object, unsigned depth) {
    struct peri_json_iter it = peri_json_iter(f->json, object);
    set_kind(n, OBJECT);
    while (f->err == PERI_OK && peri_json_next(f->json, &it)) {
        struct peri_str name = peri_json_raw(f->json, it.name);
        struct place *p = member_place(f, n, name);
        if (p != NULL) merge(f, &p->value, name, it.value, depth + 1);
    }
}

static void merge_list(struct fold *f, struct node *n, struct peri_str name, uint32_t list,
                       unsigned depth) {
    struct peri_json_iter it = peri_json_iter(f->json, list);
    if (!is_placed(name) && depth < 2) { /* at the top: citations and the like come whole */
        set_kind(n, RAW);
        n->raw = peri_json_raw(f->json, list);
        return;
    }
    set_kind(n, is_placed(name) ? PLACES : LIST);
    for (int64_t place = 0; f->err == PERI_OK && peri_json_next(f->json, &it); place++) {
        if (n->kind == LIST) {
            add_piece(f, n, peri_json_raw(f->json, it.value));
            continue;
        }
        int64_t index;
        uint32_t said = peri_json_get(f->json, it.value, PERI_STR("index"));
        if (peri_json_int(&index, f->json, said) != PERI_OK || index < 0) index = place;
        struct place *p = element_place(f, n, index);
        if (p != NULL) merge(f, &p->value, name, it.value, depth + 1);
    }
}

static void merge_text(struct fold *f, struct node *n, struct peri_str name, struct peri_str raw) {
    struct peri_str inner = { raw.p + 1, raw.n - 2 };
    if (is_label(name) && n->kind == TEXT && n->first != NULL && n->first->text.n > 0) return;
    if (is_label(name) || (is_reason(name) && inner.n > 0)) *n = (struct node){ .kind = TEXT };
    set_kind(n, TEXT);
    add_piece(f, n, inner);
}

static void merge(struct fold *f, struct node *n, struct peri_str name, uint32_t value,
                  unsigned depth) {
    struct peri_str raw = peri_json_raw(f->json, value);
    switch (peri_json_kind(f->json, value)) {
    case PERI_JSON_OBJECT: merge_object(f, n, value, depth); return;
    case PERI_JSON_ARRAY: merge_list(f, n, name, value, depth); return;
    case PERI_JSON_STRING: merge_text(f, n, name, raw); return;
    case PERI_JSON_NULL:
        if (n->kind != ABSENT) return;
        break;
    default: break;
    }
    set_kind(n, RAW);
    n->raw = raw;
}

/* ---- Writing ---- */

static void put_separator(struct peri_buf *b, bool *is_first) {
    if (!*is_first) peri_buf_add_char(b, ',');
    *is_first = false;
}

static void put_node(struct peri_buf *b, const struct node *n, bool keeps_index);

static void put_pieces(struct peri_buf *b, const struct node *n) {
    bool is_first = true;
    peri_buf_add_char(b, n->kind == TEXT ? '"' : '[');
    for (const struct piece *p = n->first; p != NULL; p = p->next) {
        if (n->kind == LIST) put_separator(b, &is_first);
        peri_buf_add(b, p->text);
    }
    peri_buf_add_char(b, n->kind == TEXT ? '"' : ']');
}

/* The pieces of a call are put together by an index that a whole one does not have. */
static void put_members(struct peri_buf *b, const struct node *n, bool keeps_index) {
    bool is_first = true;
    for (const struct place *p = n->places; p != NULL; p = p->next) {
        if (!keeps_index && peri_str_eq(p->name, PERI_STR("\"index\""))) continue;
        put_separator(b, &is_first);
        peri_buf_add(b, p->name);
        peri_buf_add_char(b, ':');
        put_node(b, &p->value, true);
    }
}

static void put_node(struct peri_buf *b, const struct node *n, bool keeps_index) {
    bool is_first = true;
    switch (n->kind) {
    case ABSENT: peri_buf_add(b, PERI_STR("null")); break;
    case RAW: peri_buf_add(b, n->raw); break;
    case TEXT:
    case LIST: put_pieces(b, n); break;
    case OBJECT:
        peri_buf_add_char(b, '{');
        put_members(b, n, keeps_index);
        peri_buf_add_char(b, '}');
        break;
    case PLACES:
        peri_buf_add_char(b, '[');
        for (const struct place *p = n->places; p != NULL; p = p->next) {
            put_separator(b, &is_first);
            put_node(b, &p->value, false);
        }
        peri_buf_add_char(b, ']');
        break;
    }
}

static const struct node *find_member(const struct node *n, struct peri_str name) {
    for (const struct place *p = n->kind == OBJECT ? n->places : NULL; p != NULL; p = p->next)
        if (peri_str_eq(p->name, name)) return &p->value;
    return NULL;
}

static void put_message(struct peri_buf *b, const struct node *delta) {
    static const struct node nothing = { .kind = OBJECT };
    if (delta == NULL || delta->kind != OBJECT) delta = &nothing;
    peri_buf_add(b, PERI_STR("\"message\":{"));
    bool has_role = find_member(delta, PERI_STR("\"role\"")) != NULL;
    bool has_content = find_member(delta, PERI_STR("\"content\"")) != NULL;
    if (!has_role) peri_buf_add(b, PERI_STR("\"role\":\"assistant\""));
    if (!has_content) peri_buf_add(b, has_role ? PERI_STR("") : PERI_STR(","));
    if (!has_content) peri_buf_add(b, PERI_STR("\"content\":null"));
    if ((!has_role || !has_content) && delta->places != NULL) peri_buf_add_char(b, ',');
    put_members(b, delta, true);
    peri_buf_add_char(b, '}');
}

static void put_choice(struct peri_buf *b, const struct place *choice, bool is_chat) {
    bool is_first = false, has_reason = false;
    peri_buf_addf(b, "{\"index\":%lld", (long long)choice->index);
    const struct node *n = &choice->value;
    if (is_chat) {
        put_separator(b, &is_first);
        put_message(b, find_member(n, PERI_STR("\"delta\"")));
    }
    for (const struct place *p = n->kind == OBJECT ? n->places : NULL; p != NULL; p = p->next) {
        if (peri_str_eq(p->name, PERI_STR("\"index\"")) ||
            (is_chat && peri_str_eq(p->name, PERI_STR("\"delta\""))))
            continue;
        has_reason = has_reason || peri_str_eq(p->name, PERI_STR("\"finish_reason\""));
        put_separator(b, &is_first);
        peri_buf_add(b, p->name);
        peri_buf_add_char(b, ':');
        put_node(b, &p->value, true);
    }
    if (!has_reason) peri_buf_add(b, PERI_STR(",\"finish_reason\":null"));
    peri_buf_add_char(b, '}');
}

static enum peri_err put_answer(struct peri_buf *b, const struct node *root, bool is_chat) {
    const struct node *choices = find_member(root, PERI_STR("\"choices\""));
    if (choices == NULL || choices->kind != PLACES || choices->count == 0) return PERI_EPROTO;
    peri_buf_add(b, PERI_STR("{\"object\":"));
    peri_buf_add(b, is_chat ? PERI_STR("\"chat.completion\"") : PERI_STR("\"text_completion\""));
    for (const struct place *p = root->places; p != NULL; p = p->next) {
        if (peri_str_eq(p->name, PERI_STR("\"object\""))) continue;
        peri_buf_add_char(b, ',');
        peri_buf_add(b, p->name);
        peri_buf_add_char(b, ':');
        if (&p->value != choices) {
            put_node(b, &p->value, true);
            continue;
        }
        bool is_first = true;
        peri_buf_add_char(b, '[');
        for (const struct place *c = choices->places; c != NULL; c = c->next) {
            put_separator(b, &is_first);
            put_choice(b, c, is_chat);
        }
        peri_buf_add_char(b, ']');
    }
    return peri_buf_add_char(b, '}');
}

static enum peri_err fold_events(struct peri_buf *answer, struct peri_str events, bool is_chat) {
    struct fold f = { .err = peri_json_parse(&f.json, events, NULL, NULL) };
    if (f.err != PERI_OK) return f.err == PERI_EMALFORMED ? PERI_EPROTO : f.err;
    struct node root = { .kind = OBJECT };
    peri_arena_init(&f.arena, 0);
    struct peri_json_iter it = peri_json_iter(f.json, peri_json_root(f.json));
    while (f.err == PERI_OK && peri_json_next(f.json, &it))
        if (peri_json_kind(f.json, it.value) == PERI_JSON_OBJECT)
            merge_object(&f, &root, it.value, 0);
    if (f.err == PERI_OK) f.err = put_answer(answer, &root, is_chat);
    peri_arena_done(&f.arena);
    peri_json_free(f.json);
    return f.err;
}

enum peri_err peri_chat_whole_of_stream(struct peri_buf *answer, struct peri_str events) {
    return fold_events(answer, events, true);
}

enum peri_err peri_completions_whole_of_stream(struct peri_buf *answer, struct peri_str events) {
    return fold_events(answer, events, false);
}
