#include "base/json_index.h"

#include "base/json_text.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/siphash.h"

#define STRIDE 16 /* children between two that the index knows */

/* A name's last member. `at` is PERI_JSON_NONE in a free slot. */
struct slot {
    uint32_t hash, at;
};

struct index {
    uint32_t container;
    uint32_t count;     /* children on the tape when it was made */
    uint32_t *strides;  /* arrays: every 16th element */
    struct slot *slots; /* objects, from the second search on; a power of two */
    uint32_t slot_count, names;
    uint32_t *earlier; /* open objects: the place of the member before it with the same name */
    uint32_t earlier_cap;
    uint32_t searches;
};

/* All indexes of a document, by container: open addressing. */
struct peri_json_indexes {
    uint64_t secret[2];
    struct index *all;
    uint32_t cap, count;
    size_t bytes;
};

static uint32_t spread(uint32_t node) { return node * 2654435761u >> 7; }

/* NULL when there is none. */
static struct index *find(const struct peri_json *j, uint32_t container) {
    const struct peri_json_indexes *x = j->indexes;
    if (x == NULL) return NULL;
    for (uint32_t i = spread(container);; i++) {
        struct index *index = &x->all[i & (x->cap - 1)];
        if (index->container == container) return index;
        if (index->container == PERI_JSON_NONE) return NULL;
    }
}

static struct index *room_for(struct index *all, uint32_t cap, uint32_t container) {
    uint32_t i = spread(container);
    while (all[i & (cap - 1)].container != PERI_JSON_NONE) i++;
    return &all[i & (cap - 1)];
}

static bool grow(struct peri_json_indexes *x) {
    uint32_t cap = x->cap == 0 ? 8 : x->cap * 2;
    struct index *all = peri_malloc(cap * sizeof *all);
    if (all == NULL) return false;
    for (uint32_t i = 0; i < cap; i++) all[i].container = PERI_JSON_NONE;
    for (uint32_t i = 0; i < x->cap; i++)
        if (x->all[i].container != PERI_JSON_NONE)
            *room_for(all, cap, x->all[i].container) = x->all[i];
    peri_free(x->all);
    x->bytes += (cap - x->cap) * sizeof *all;
    x->all = all;
    x->cap = cap;
    return true;
}

static struct index *make(struct peri_json *j, uint32_t container, uint32_t count) {
    struct peri_json_indexes *x = j->indexes;
    if (x == NULL) {
        struct peri_rand r;
        x = peri_calloc(1, sizeof *x);
        if (x == NULL) return NULL;
        peri_rand_seed_os(&r);
        x->secret[0] = peri_rand_next(&r);
        x->secret[1] = peri_rand_next(&r);
        x->bytes = sizeof *x;
        j->indexes = x;
    }
    if (x->count * 2 >= x->cap && !grow(x)) {
        if (x->cap == 0) peri_json_index_done(j);
        return NULL;
    }
    struct index *index = room_for(x->all, x->cap, container);
    *index = (struct index){ .container = container, .count = count };
    x->count++;
    return index;
}

static void empty(struct peri_json_indexes *x, struct index *index) {
    if (index->strides != NULL) x->bytes -= (index->count / STRIDE + 1) * sizeof *index->strides;
    x->bytes -= index->slot_count * sizeof *index->slots;
    x->bytes -= index->earlier_cap * sizeof *index->earlier;
    peri_free(index->strides);
    peri_free(index->slots);
    peri_free(index->earlier);
    *index = (struct index){ .container = index->container, .count = index->count };
}

/* The place in the table stays, for an index of the open container. */
void peri_json_index_drop(struct peri_json *j, uint32_t container) {
    struct index *index = find(j, container);
    if (index != NULL) empty(j->indexes, index);
}

void peri_json_index_done(struct peri_json *j) {
    struct peri_json_indexes *x = j->indexes;
    if (x == NULL) return;
    for (uint32_t i = 0; i < x->cap; i++)
        if (x->all[i].container != PERI_JSON_NONE) empty(x, &x->all[i]);
    peri_free(x->all);
    peri_free(x);
    j->indexes = NULL;
}

size_t peri_json_index_memory(const struct peri_json *j) {
    return j->indexes == NULL ? 0 : j->indexes->bytes;
}

uint32_t peri_json_index_count(const struct peri_json *j, uint32_t container) {
    const struct index *index = find(j, container);
    return index == NULL ? PERI_JSON_NONE : index->count;
}

void peri_json_index_note(struct peri_json *j, uint32_t container, uint32_t count) {
    if (count > PERI_JSON_INDEX_MIN && find(j, container) == NULL) make(j, container, count);
}

/* ---- elements ---- */

static bool has_strides(struct peri_json *j, struct index *index) {
    if (index->strides != NULL) return true;
    size_t bytes = (index->count / STRIDE + 1) * sizeof *index->strides;
    index->strides = peri_malloc(bytes);
    if (index->strides == NULL) return false;
    j->indexes->bytes += bytes;
    uint32_t at = index->container + 1;
    for (uint32_t i = 0; i < index->count; i++) {
        if (i % STRIDE == 0) index->strides[i / STRIDE] = at;
        at = peri_json_after(j, at);
    }
    return true;
}

bool peri_json_index_at(struct peri_json *j, uint32_t *out, uint32_t array, size_t index_of) {
    struct index *index = find(j, array);
    if (index == NULL) {
        size_t count = peri_json_count(j, array); /* which notes it */
        if ((index = find(j, array)) == NULL) {
            *out = PERI_JSON_NONE;
            return index_of >= count;
        }
    }
    *out = PERI_JSON_NONE;
    if (index_of >= index->count) return true;
    if (!has_strides(j, index)) return false;
    uint32_t at = index->strides[index_of / STRIDE];
    for (size_t i = index_of % STRIDE; i > 0; i--) at = peri_json_after(j, at);
    *out = at;
    return true;
}

/* ---- names ---- */

/* The name of what a slot stands for. */
static uint32_t name_at(const struct peri_json_list *list, uint32_t at) {
    return list == NULL ? at : list->entries[at].name;
}

/* Put a member in front of those that have its name.
 *   gives   false when memory ran out */
static bool put_name(struct peri_json *j, struct index *index, const struct peri_json_list *list,
                     uint32_t at) {
    const struct peri_json_cell *c = &j->cells[name_at(list, at)];
    struct peri_str name = peri_json_cell_text(j, c);
    name = (struct peri_str){ name.p + 1, name.n - 2 };
    char *plain = NULL;
    if (c->meta & PERI_JSON_ESCAPED) {
        if ((plain = peri_malloc(name.n + 1)) == NULL) return false;
        name = (struct peri_str){ plain, peri_json_unescape(plain, name) };
    }
    uint32_t hash = (uint32_t)peri_siphash(j->indexes->secret, name);
    uint32_t mask = index->slot_count - 1, i = hash;
    struct slot *slot = &index->slots[i & mask];
    while (slot->at != PERI_JSON_NONE &&
           (slot->hash != hash || !peri_json_name_is(j, name_at(list, slot->at), name)))
        slot = &index->slots[++i & mask];
    peri_free(plain);
    index->names += slot->at == PERI_JSON_NONE;
    if (index->earlier != NULL) index->earlier[at] = slot->at;
    *slot = (struct slot){ hash, at };
    return true;
}

static bool has_slots(struct peri_json *j, struct index *index, uint32_t names) {
    uint32_t count = PERI_JSON_INDEX_MIN * 4;
    while (count / 2 < names) count *= 2;
    index->slots = peri_malloc(count * sizeof *index->slots);
    if (index->slots == NULL) return false;
    for (uint32_t i = 0; i < count; i++) index->slots[i].at = PERI_JSON_NONE;
    index->slot_count = count;
    j->indexes->bytes += count * sizeof *index->slots;
    return true;
}

static bool has_earlier(struct peri_json *j, struct index *index, uint32_t count) {
    if (count < index->earlier_cap) return true;
    uint32_t cap = count + count / 2 + 1;
    uint32_t *earlier = peri_realloc(index->earlier, cap * sizeof *earlier);
    if (earlier == NULL) return false;
    j->indexes->bytes += (cap - index->earlier_cap) * sizeof *earlier;
    index->earlier = earlier;
    index->earlier_cap = cap;
    return true;
}

static bool put_all(struct peri_json *j, struct index *index, const struct peri_json_list *list) {
    if (list != NULL) {
        if (!has_slots(j, index, list->count) || !has_earlier(j, index, list->count)) return false;
        for (uint32_t i = 0; i < list->count; i++) {
            index->earlier[i] = PERI_JSON_NONE;
            if (list->entries[i].value == PERI_JSON_NONE) continue;
            if (!put_name(j, index, list, i)) return false;
        }
        return true;
    }
    if (!has_slots(j, index, index->count)) return false;
    uint32_t end = peri_json_after(j, index->container);
    for (uint32_t at = index->container + 1; at < end; at = peri_json_after(j, at + 1))
        if (!put_name(j, index, NULL, at)) return false;
    return true;
}

/* The index of an object with its names; NULL when it is small, new or memory ran out. On the tape the first search
 * only counts: most objects are searched once. */
static struct index *named(struct peri_json *j, uint32_t object,
                           const struct peri_json_list *list) {
    if (list != NULL && list->count <= PERI_JSON_INDEX_MIN) return NULL;
    struct index *index = find(j, object);
    if (index == NULL && list != NULL) index = make(j, object, list->count);
    if (index == NULL || index->slots != NULL) return index;
    if (list == NULL && index->searches++ == 0) return NULL;
    if (put_all(j, index, list)) return index;
    empty(j->indexes, index);
    return NULL;
}

/* From `at` on to earlier members, the first that still has a value. */
static uint32_t first_live(struct index *index, const struct peri_json_list *list, uint32_t at) {
    while (at != PERI_JSON_NONE && list->entries[at].value == PERI_JSON_NONE)
        at = index->earlier[at];
    return at;
}

bool peri_json_index_name(struct peri_json *j, uint32_t *out, uint32_t object,
                          struct peri_str name) {
    const struct peri_json_list *list = peri_json_list_of(j, object);
    struct index *index = named(j, object, list);
    *out = PERI_JSON_NONE;
    if (index == NULL) return false;
    uint32_t hash = (uint32_t)peri_siphash(j->indexes->secret, name);
    for (uint32_t i = hash;; i++) {
        struct slot *slot = &index->slots[i & (index->slot_count - 1)];
        if (slot->at == PERI_JSON_NONE) return true;
        if (slot->hash != hash || !peri_json_name_is(j, name_at(list, slot->at), name)) continue;
        if (list == NULL) {
            *out = slot->at;
            return true;
        }
        *out = first_live(index, list, slot->at);
        /* what is dead is not looked at again */
        if (*out != PERI_JSON_NONE)
            slot->at = *out;
        else
            index->earlier[slot->at] = PERI_JSON_NONE;
        return true;
    }
}

uint32_t peri_json_index_earlier(struct peri_json *j, uint32_t object, uint32_t place,
                                 struct peri_str name) {
    const struct peri_json_list *list = peri_json_list_of(j, object);
    struct index *index = named(j, object, list);
    if (index != NULL && place < list->count) {
        index->earlier[place] = first_live(index, list, index->earlier[place]);
        return index->earlier[place];
    }
    while (place-- > 0)
        if (list->entries[place].value != PERI_JSON_NONE &&
            peri_json_name_is(j, list->entries[place].name, name))
            return place;
    return PERI_JSON_NONE;
}

void peri_json_index_add(struct peri_json *j, uint32_t object, uint32_t place) {
    const struct peri_json_list *list = peri_json_list_of(j, object);
    struct index *index = find(j, object);
    if (index == NULL || index->slots == NULL) return;
    bool has_room = index->names * 2 < index->slot_count && has_earlier(j, index, place + 1);
    if (!has_room || !put_name(j, index, list, place))
        empty(j->indexes, index); /* the next search makes a larger one */
}
