/* A policy in C, with nothing but perilune.h: the names of tool calls, as each model wants them and as every client can
 * use them. It does what policies/tool_ids.lua does for all providers.
 *
 *     example_policy CONFIG        perilune.lua or *.json; policies in it are not used
 *
 * Kimi's template counts calls, functions.<name>:<number>; other models take any id that stands only once. Towards the
 * client every call of a conversation has an id of its own. Nothing is de-duplicated: two calls stay two calls.
 *
 * Serves until a line arrives on standard input, or its end.
 */
#include <perilune.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TEXT(literal) ((struct peri_str){ literal, sizeof(literal) - 1 })
#define NONE          ((size_t)-1)

/* ---- A table from texts to numbers ----
 *
 * Clients decide how many calls a conversation has, so nothing here searches a list. */

struct word {
    struct word *next;
    size_t hash, value, n;
    char text[];
};

struct words {
    struct word **slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
};

/* FNV-1a. A program that faces strangers takes a keyed hash. */
static size_t hash_text(struct peri_str s) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return (size_t)h;
}

static struct word *find_word(const struct words *w, struct peri_str text) {
    if (w->slot_count == 0) return NULL;
    struct word *at = w->slots[hash_text(text) & (w->slot_count - 1)];
    while (at != NULL && (at->n != text.n || memcmp(at->text, text.p, text.n) != 0)) at = at->next;
    return at;
}

static bool make_room(struct words *w) {
    if (w->count < w->slot_count) return true;
    size_t n = w->slot_count == 0 ? 16 : w->slot_count * 2;
    struct word **slots = calloc(n, sizeof *slots);
    if (slots == NULL) return false;
    for (size_t i = 0; i < w->slot_count; i++) {
        for (struct word *at = w->slots[i], *next; at != NULL; at = next) {
            struct word **slot = &slots[at->hash & (n - 1)];
            next = at->next;
            at->next = *slot;
            *slot = at;
        }
    }
    free(w->slots);
    w->slots = slots;
    w->slot_count = n;
    return true;
}

/* The word of that text, with value 0 when it is new. NULL: memory ran out. */
static struct word *put_word(struct words *w, struct peri_str text) {
    struct word *at = find_word(w, text);
    if (at != NULL) return at;
    if (!make_room(w) || (at = malloc(sizeof *at + text.n)) == NULL) return NULL;
    at->hash = hash_text(text);
    at->value = 0;
    at->n = text.n;
    if (text.n > 0) memcpy(at->text, text.p, text.n);
    struct word **slot = &w->slots[at->hash & (w->slot_count - 1)];
    at->next = *slot;
    *slot = at;
    w->count++;
    return at;
}

static void free_words(struct words *w) {
    for (size_t i = 0; i < w->slot_count; i++) {
        for (struct word *at = w->slots[i], *next; at != NULL; at = next) {
            next = at->next;
            free(at);
        }
    }
    free(w->slots);
}

static struct peri_str text_of(const struct word *w) { return (struct peri_str){ w->text, w->n }; }

static bool is_same(struct peri_str a, struct peri_str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ---- What a policy remembers between an attempt and its answer ---- */

/* What the call at one place of the answer was given. */
struct given {
    const struct word *raw; /* the provider's own id; NULL: it was no string */
    const struct word *id;
    int64_t index;
};

struct memory {
    bool is_kimi;
    size_t next;         /* number of the next call */
    struct words texts;  /* made here, and kept for the pointers above */
    struct words taken;  /* ids */
    struct words counts; /* by base: the suffix that is tried next */
    struct words names;  /* by name: the number that is tried next */
    struct words places; /* by "choice:index": which of `given`, from 1 */
    struct words used;   /* by "choice:index": the index to look at next */
    struct given *given;
    size_t given_count, given_cap;
};

static void free_memory(struct memory *m) {
    if (m == NULL) return;
    free_words(&m->texts);
    free_words(&m->taken);
    free_words(&m->counts);
    free_words(&m->names);
    free_words(&m->places);
    free_words(&m->used);
    free(m->given);
    free(m);
}

/* "<before><base><between><number>". NULL: memory ran out. */
static const struct word *put_name(struct words *w, const char *before, struct peri_str base,
                                   const char *between, size_t number) {
    char digits[24];
    size_t lengths[] = { strlen(before), base.n, strlen(between),
                         (size_t)snprintf(digits, sizeof digits, "%zu", number) };
    const char *parts[] = { before, base.p, between, digits };
    char *text = malloc(lengths[0] + lengths[1] + lengths[2] + lengths[3]);
    size_t n = 0;
    if (text == NULL) return NULL;
    for (size_t i = 0; i < 4; i++) {
        if (lengths[i] > 0) memcpy(text + n, parts[i], lengths[i]);
        n += lengths[i];
    }
    const struct word *word = put_word(w, (struct peri_str){ text, n });
    free(text);
    return word;
}

static const struct word *canonical_id(struct memory *m, struct peri_str name, size_t number) {
    return put_name(&m->texts, "functions.", name, ":", number);
}

/* An id that is not taken: `base`, or base_2, base_3, …. Ids stay taken, so a search goes on where the last one for the
 * same base ended. */
static const struct word *free_id(struct memory *m, struct peri_str base) {
    struct word *count = put_word(&m->counts, base);
    if (count == NULL) return NULL;
    if (count->value == 0) count->value = 1;
    for (;; count->value++) {
        const struct word *id = count->value == 1
                                    ? put_word(&m->texts, base)
                                    : put_name(&m->texts, "", base, "_", count->value);
        if (id == NULL || find_word(&m->taken, text_of(id)) == NULL) return id;
    }
}

/* ---- The conversation ---- */

/* A call, and the result that belongs to it. */
struct call {
    uint32_t node;
    uint32_t result;          /* the message; PERI_JSON_NONE: none */
    struct peri_str id, name; /* p NULL: it has none; numbers count as their text */
    bool is_string;           /* the id */
    size_t next_of_id, next;  /* that wait with it: of the same id, and of all */
};

/* Calls of one turn that wait for their results, in order; a newer turn stands before an older one. */
struct turn {
    size_t number, first, last, older;
};

struct conversation {
    struct peri_json *body;
    struct call *calls;
    size_t call_count, call_cap;
    struct turn *turns;
    size_t turn_count, turn_cap;
    struct words waiting; /* by id: the newest turn, plus 1 */
    size_t waiting_any;   /* of calls of any id: the newest turn, plus 1 */
    size_t turn;
    bool is_assistants; /* the message before */
};

static void free_conversation(struct conversation *c) {
    free(c->calls);
    free(c->turns);
    free_words(&c->waiting);
}

/* Room for one more in an array of `size` bytes each. */
static bool grow_array(void **array, size_t *cap, size_t count, size_t size) {
    if (count < *cap) return true;
    size_t more = *cap == 0 ? 16 : *cap * 2;
    void *p = realloc(*array, more * size);
    if (p == NULL) return false;
    *array = p;
    *cap = more;
    return true;
}

static struct peri_str id_text(struct peri_json *body, uint32_t node) {
    if (peri_json_kind(body, node) == PERI_JSON_NUMBER) return peri_json_raw(body, node);
    return peri_json_string_view(body, node);
}

static bool add_waiting(struct conversation *c, size_t *newest, size_t call, bool is_by_id) {
    struct turn *t = *newest > 0 ? &c->turns[*newest - 1] : NULL;
    if (t == NULL || t->number != c->turn) {
        void *turns = c->turns;
        if (!grow_array(&turns, &c->turn_cap, c->turn_count, sizeof *c->turns)) return false;
        c->turns = turns;
        t = &c->turns[c->turn_count++];
        *t = (struct turn){ c->turn, call, call, *newest };
        *newest = c->turn_count;
        return true;
    }
    if (t->first == NONE)
        t->first = call;
    else if (is_by_id)
        c->calls[t->last].next_of_id = call;
    else
        c->calls[t->last].next = call;
    t->last = call;
    return true;
}

/* The call that a result belongs to: where ids collide, the first of the newest turn that has no result yet. */
static struct call *take_waiting(struct conversation *c, size_t *newest, bool is_by_id) {
    while (*newest > 0) {
        struct turn *t = &c->turns[*newest - 1];
        while (t->first != NONE) {
            struct call *call = &c->calls[t->first];
            t->first = is_by_id ? call->next_of_id : call->next;
            if (call->result == PERI_JSON_NONE) return call;
        }
        *newest = t->older;
    }
    return NULL;
}

static bool add_call(struct conversation *c, uint32_t node) {
    struct peri_json *body = c->body;
    void *calls = c->calls;
    if (peri_json_kind(body, node) != PERI_JSON_OBJECT) return true;
    if (!grow_array(&calls, &c->call_cap, c->call_count, sizeof *c->calls)) return false;
    c->calls = calls;
    uint32_t id = peri_json_get(body, node, TEXT("id"));
    uint32_t function = peri_json_get(body, node, TEXT("function"));
    size_t at = c->call_count++;
    c->calls[at] = (struct call){ .node = node,
                                  .result = PERI_JSON_NONE,
                                  .id = id_text(body, id),
                                  .name = peri_json_string_view(
                                      body, peri_json_get(body, function, TEXT("name"))),
                                  .is_string = peri_json_kind(body, id) == PERI_JSON_STRING,
                                  .next_of_id = NONE,
                                  .next = NONE };
    if (!add_waiting(c, &c->waiting_any, at, false)) return false;
    if (c->calls[at].id.p == NULL) return true;
    struct word *same = put_word(&c->waiting, c->calls[at].id);
    return same != NULL && add_waiting(c, &same->value, at, true);
}

static bool add_message(struct conversation *c, uint32_t message) {
    struct peri_json *body = c->body;
    uint32_t role = peri_json_get(body, message, TEXT("role"));
    bool is_assistants = peri_json_string_is(body, role, TEXT("assistant"));
    if (is_assistants && !c->is_assistants) c->turn++;
    c->is_assistants = is_assistants;
    if (is_assistants) {
        uint32_t calls = peri_json_get(body, message, TEXT("tool_calls"));
        size_t n =
            peri_json_kind(body, calls) == PERI_JSON_ARRAY ? peri_json_count(body, calls) : 0;
        for (size_t i = 0; i < n; i++)
            if (!add_call(c, peri_json_at(body, calls, i))) return false;
    } else if (peri_json_string_is(body, role, TEXT("tool"))) {
        struct peri_str id = id_text(body, peri_json_get(body, message, TEXT("tool_call_id")));
        struct word *same = id.p == NULL ? NULL : find_word(&c->waiting, id);
        struct call *call = NULL;
        if (id.p == NULL)
            call = take_waiting(c, &c->waiting_any, false);
        else if (same != NULL)
            call = take_waiting(c, &same->value, true);
        if (call != NULL) call->result = message;
    }
    return true;
}

static bool read_conversation(struct conversation *c, uint32_t messages) {
    size_t n = peri_json_count(c->body, messages);
    for (size_t i = 0; i < n; i++)
        if (!add_message(c, peri_json_at(c->body, messages, i))) return false;
    return true;
}

/* Arguments that are an object or a list become their text. */
static enum peri_err write_arguments(struct peri_json *body, uint32_t call) {
    uint32_t function = peri_json_get(body, call, TEXT("function"));
    uint32_t arguments = peri_json_get(body, function, TEXT("arguments"));
    enum peri_json_kind kind = peri_json_kind(body, arguments);
    if (kind != PERI_JSON_OBJECT && kind != PERI_JSON_ARRAY) return PERI_OK;
    return peri_json_set_string(body, function, TEXT("arguments"), peri_json_raw(body, arguments));
}

static bool is_blank(struct peri_str s) {
    for (size_t i = 0; i < s.n; i++)
        if (strchr(" \t\n\v\f\r", s.p[i]) == NULL || s.p[i] == '\0') return false;
    return true;
}

/* The id that a call of the conversation is to have, which is taken then; NULL: memory ran out. */
static const struct word *wanted_id(struct memory *m, const struct call *call, size_t number) {
    const struct word *id;
    if (m->is_kimi)
        id = call->name.p != NULL ? canonical_id(m, call->name, number)
                                  : put_word(&m->texts, call->id);
    else if (call->id.p != NULL && !is_blank(call->id))
        id = free_id(m, call->id);
    else if ((id = put_name(&m->texts, "call_", TEXT(""), "", number)) != NULL)
        id = free_id(m, text_of(id));
    return id != NULL && put_word(&m->taken, text_of(id)) != NULL ? id : NULL;
}

static enum peri_err set_id(struct peri_json *body, uint32_t object, struct peri_str name,
                            const struct word *id) {
    if (peri_json_string_is(body, peri_json_get(body, object, name), text_of(id))) return PERI_OK;
    return peri_json_set_string(body, object, name, text_of(id));
}

static enum peri_err rename_calls(struct memory *m, const struct conversation *c) {
    for (size_t i = 0; i < c->call_count; i++) {
        const struct call *call = &c->calls[i];
        enum peri_err err = write_arguments(c->body, call->node);
        if (err != PERI_OK) return err;
        if (m->is_kimi && call->name.p == NULL && !call->is_string) continue;
        const struct word *id = wanted_id(m, call, i);
        if (id == NULL) return PERI_ENOMEM;
        err = set_id(c->body, call->node, TEXT("id"), id);
        if (err == PERI_OK && call->result != PERI_JSON_NONE)
            err = set_id(c->body, call->result, TEXT("tool_call_id"), id);
        if (err != PERI_OK) return err;
    }
    /* The client still knows calls by its own ids, so no new call gets one of these. */
    for (size_t i = 0; i < c->call_count; i++)
        if (c->calls[i].is_string && put_word(&m->taken, c->calls[i].id) == NULL)
            return PERI_ENOMEM;
    m->next = c->call_count;
    /* Suffixes of the conversation's ids say nothing about the answer's. */
    free_words(&m->counts);
    m->counts = (struct words){ .slots = NULL };
    return PERI_OK;
}

/* ---- The answer ---- */

/* Where a call stands in its answer. */
struct place {
    struct word *key, *at; /* of m->places; of m->used, or NULL */
    int64_t choice, index;
    bool is_delta;
};

static struct peri_str place_text(char room[48], int64_t choice, int64_t index) {
    int n = snprintf(room, 48, "%lld:%lld", (long long)choice, (long long)index);
    return (struct peri_str){ room, (size_t)n };
}

static struct peri_str name_of(struct peri_json *j, uint32_t call) {
    uint32_t function = peri_json_get(j, call, TEXT("function"));
    return peri_json_string_view(j, peri_json_get(j, function, TEXT("name")));
}

/* An id for a call that begins. */
static const struct word *fresh_id(struct memory *m, struct peri_str raw, struct peri_str name) {
    size_t number = m->next++;
    const struct word *id = NULL;
    if (m->is_kimi && name.n > 0) {
        struct word *next = put_word(&m->names, name);
        if (next == NULL) return NULL;
        if (number < next->value) number = next->value;
        do {
            id = canonical_id(m, name, number++);
        } while (id != NULL && find_word(&m->taken, text_of(id)) != NULL);
        next->value = number;
    } else if (raw.n > 0) {
        id = put_word(&m->texts, raw);
    } else {
        id = put_name(&m->texts, "call_", TEXT(""), "", number);
    }
    if (id != NULL) id = free_id(m, text_of(id));
    return id != NULL && put_word(&m->taken, text_of(id)) != NULL ? id : NULL;
}

/* In a stream every call has an index of its own, whatever the provider says. */
static bool choose_index(struct memory *m, struct given *given, const struct place *place) {
    char room[48];
    struct word *used;
    given->index = place->index;
    while ((used = find_word(&m->used, place_text(room, place->choice, given->index))) != NULL)
        given->index = (int64_t)used->value;
    size_t next = (size_t)given->index + 1;
    used = put_word(&m->used, place_text(room, place->choice, given->index));
    if (used == NULL) return false;
    used->value = next;
    if (given->index == place->index) return true;
    used = put_word(&m->used, place_text(room, place->choice, place->index));
    if (used == NULL) return false;
    used->value = next;
    return true;
}

/* A call that begins at a place. NULL: memory ran out. */
static struct given *begin_call(struct memory *m, struct peri_json *j, uint32_t call,
                                struct place *place) {
    void *list = m->given;
    struct peri_str raw = peri_json_string_view(j, peri_json_get(j, call, TEXT("id")));
    if (!grow_array(&list, &m->given_cap, m->given_count, sizeof *m->given)) return NULL;
    m->given = list;
    struct given *given = &m->given[m->given_count];
    given->raw = raw.p == NULL ? NULL : put_word(&m->texts, raw);
    if (raw.p != NULL && given->raw == NULL) return NULL;
    given->id = fresh_id(m, raw, name_of(j, call));
    if (given->id == NULL || !choose_index(m, given, place)) return NULL;
    place->key->value = ++m->given_count;
    return given;
}

/* Does a fragment begin another call at an index that one has already? Kimi's parser repeats indexes. A provider that
 * names its call in every fragment does so by the same id. */
static bool is_another(const struct given *given, struct peri_json *j, uint32_t call) {
    struct peri_str id = peri_json_string_view(j, peri_json_get(j, call, TEXT("id")));
    if (id.n == 0 || is_same(id, text_of(given->id))) return false;
    return (given->raw == NULL || !is_same(id, text_of(given->raw))) && name_of(j, call).n > 0;
}

static bool is_nothing(const struct peri_json *j, uint32_t node) {
    return peri_json_kind(j, node) == PERI_JSON_NULL; /* of an absent one, too */
}

/* A fragment that starts a call without a name: MiniMax sends such a thing after the real one. */
static bool is_spurious(const struct memory *m, struct peri_json *j, uint32_t call) {
    uint32_t function = peri_json_get(j, call, TEXT("function"));
    uint32_t id = peri_json_get(j, call, TEXT("id"));
    if (peri_json_kind(j, function) != PERI_JSON_OBJECT) return false;
    if (!is_nothing(j, peri_json_get(j, function, TEXT("name")))) return false;
    struct peri_str text = peri_json_string_view(j, id);
    return is_nothing(j, id) || (text.p != NULL && find_word(&m->taken, text) != NULL);
}

static enum peri_err rewrite_call(struct memory *m, struct peri_json *j, uint32_t call,
                                  struct place *place) {
    enum peri_err err = PERI_OK;
    size_t number = place->key->value;
    struct given *given = number == 0 ? NULL : &m->given[number - 1];
    if (given == NULL || (place->is_delta && is_another(given, j, call))) {
        given = begin_call(m, j, call, place);
        if (given == NULL) return PERI_ENOMEM;
        err = set_id(j, call, TEXT("id"), given->id);
    } else if (peri_json_get(j, call, TEXT("id")) != PERI_JSON_NONE) {
        err = set_id(j, call, TEXT("id"), given->id);
    }
    if (err == PERI_OK && place->is_delta && given->index != place->index)
        err = peri_json_set_int(j, call, TEXT("index"), given->index);
    return err == PERI_OK ? write_arguments(j, call) : err;
}

static enum peri_err rewrite_choice(struct memory *m, struct peri_json *j, uint32_t choice,
                                    int64_t number) {
    uint32_t said = peri_json_get(j, choice, TEXT("delta"));
    struct place place = { .choice = number };
    place.is_delta = peri_json_kind(j, said) == PERI_JSON_OBJECT;
    if (!place.is_delta) said = peri_json_get(j, choice, TEXT("message"));
    uint32_t calls = peri_json_get(j, said, TEXT("tool_calls"));
    if (peri_json_kind(j, calls) != PERI_JSON_ARRAY) return PERI_OK;
    size_t removed = 0;
    for (size_t i = 0; i < peri_json_count(j, calls); i++) {
        char room[48];
        uint32_t call = peri_json_at(j, calls, i);
        if (peri_json_kind(j, call) != PERI_JSON_OBJECT) continue;
        if (peri_json_int(&place.index, j, peri_json_get(j, call, TEXT("index"))) != PERI_OK)
            place.index = (int64_t)(i + removed);
        place.key = put_word(&m->places, place_text(room, number, place.index));
        if (place.key == NULL) return PERI_ENOMEM;
        enum peri_err err;
        if (place.is_delta && place.key->value == 0 && is_spurious(m, j, call)) {
            err = peri_json_remove(j, call);
            i--, removed++;
        } else {
            err = rewrite_call(m, j, call, &place);
        }
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

/* Ids of the calls in an answer, or in one event of it. */
static enum peri_err rewrite_answer(struct memory *m, struct peri_json *j) {
    uint32_t choices = peri_json_get(j, peri_json_root(j), TEXT("choices"));
    if (peri_json_kind(j, choices) != PERI_JSON_ARRAY) return PERI_OK;
    for (size_t i = 0; i < peri_json_count(j, choices); i++) {
        uint32_t choice = peri_json_at(j, choices, i);
        int64_t number = (int64_t)i;
        if (peri_json_kind(j, choice) != PERI_JSON_OBJECT) continue;
        if (peri_json_int(&number, j, peri_json_get(j, choice, TEXT("index"))) != PERI_OK)
            number = (int64_t)i;
        enum peri_err err = rewrite_choice(m, j, choice, number);
        if (err != PERI_OK) return err;
    }
    return PERI_OK;
}

/* ---- The hooks ---- */

static void forget(void *self, struct peri_request *r) {
    (void)self;
    free_memory(peri_request_user(r));
    peri_request_set_user(r, NULL);
}

static bool is_kimi(struct peri_str model) {
    static const char name[] = "moonshotai/kimi-k2.6";
    return model.n == sizeof name - 1 && strncasecmp(model.p, name, model.n) == 0;
}

static enum peri_err attempt(void *self, struct peri_request *r, struct peri_attempt *a) {
    forget(self, r); /* what an earlier attempt was about */
    struct peri_json *body = peri_attempt_body(a);
    if (body == NULL) return PERI_ENOMEM;
    uint32_t root = peri_json_root(body), messages = peri_json_get(body, root, TEXT("messages"));
    if (peri_json_kind(body, messages) != PERI_JSON_ARRAY) return PERI_OK;
    struct memory *m = calloc(1, sizeof *m);
    if (m == NULL) return PERI_ENOMEM;
    m->is_kimi = is_kimi(peri_attempt_upstream_model(a));
    struct conversation c = { .body = body };
    enum peri_err err = read_conversation(&c, messages) ? rename_calls(m, &c) : PERI_ENOMEM;
    free_conversation(&c);
    bool has_tools = peri_json_get(body, root, TEXT("tools")) != PERI_JSON_NONE;
    if (err == PERI_OK && has_tools)
        peri_request_set_user(r, m);
    else
        free_memory(m);
    return err;
}

static bool has_text(struct peri_str in, struct peri_str what) {
    const char *p = in.p, *end = in.p + in.n;
    while (p < end && (p = memchr(p, what.p[0], (size_t)(end - p))) != NULL) {
        if ((size_t)(end - p) >= what.n && memcmp(p, what.p, what.n) == 0) return true;
        p++;
    }
    return false;
}

static enum peri_verdict event(void *self, struct peri_request *r, const struct peri_event *e,
                               struct peri_buf *out) {
    struct memory *m = peri_request_user(r);
    struct peri_json *j;
    (void)self;
    if (m == NULL || !has_text(e->data, TEXT("\"tool_calls\""))) return PERI_HOOK_KEEP;
    enum peri_err err = peri_json_read(&j, e->data, NULL);
    if (err != PERI_OK) return err == PERI_ENOMEM ? PERI_HOOK_BREAK : PERI_HOOK_KEEP;
    enum peri_verdict verdict = PERI_HOOK_KEEP;
    err = rewrite_answer(m, j);
    if (err == PERI_OK && peri_json_is_edited(j)) {
        err = peri_event_add_json(out, e->name, j);
        verdict = PERI_HOOK_REPLACE;
    }
    peri_json_free(j);
    return err == PERI_OK ? verdict : PERI_HOOK_BREAK;
}

static enum peri_verdict answer(void *self, struct peri_request *r, struct peri_str json,
                                struct peri_buf *out) {
    struct memory *m = peri_request_user(r);
    struct peri_json *j;
    (void)self;
    if (m == NULL) return PERI_HOOK_KEEP;
    if (peri_json_read(&j, json, NULL) != PERI_OK) return PERI_HOOK_BREAK;
    enum peri_verdict verdict = PERI_HOOK_KEEP;
    enum peri_err err = rewrite_answer(m, j);
    if (err == PERI_OK && peri_json_is_edited(j)) {
        err = peri_json_add_node(out, j, peri_json_root(j));
        verdict = PERI_HOOK_REPLACE;
    }
    peri_json_free(j);
    return err == PERI_OK ? verdict : PERI_HOOK_BREAK;
}

static const struct peri_policy_ops policy = {
    .size = sizeof policy, .attempt = attempt, .event = event, .answer = answer, .forget = forget
};

/* ---- The program ---- */

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s CONFIG\n", argv[0]);
        return 2;
    }
    struct peri_router_options options = {
        .size = sizeof options, .config_file = argv[1], .policy = &policy, .policy_name = "tool_ids"
    };
    struct peri_router *router;
    struct peri_fault fault;
    if (peri_router_new(&router, &options, &fault) != PERI_OK ||
        peri_router_start(router, &fault) != PERI_OK) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    printf("listening on port %u\n", peri_router_port(router, 0));
    fflush(stdout);
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    while (poll(&input, 1, -1) < 0) continue;
    peri_router_stop(router);
    peri_router_join(router);
    peri_router_free(router);
    return 0;
}
