/* Validate a text and pick values out of it in one pass, with no tape: what a stream does for every event.
 *
 * Each container under way has a mask of the paths that lead through it. Where the mask is empty, nothing is
 * compared, and the pass is only the check. */
#include "base/err.h"
#include "base/json_text.h"
#include "base/json_token.h"
#include "base/json_tape.h"

#define PATHS_MAX 32
#define LENGTHS   16 /* of steps, told apart; a power of two */

struct level {
    const char *start;
    uint32_t index;           /* of the element under way */
    uint32_t through, wanted; /* paths that lead into it; paths that end at it */
    bool is_object;
};

struct picker {
    struct peri_json_scanner s;
    const struct peri_json_path *paths;
    struct peri_str *found;
    uint32_t through, wanted; /* of the value that comes next */
    bool is_too_deep;
    /* The paths whose step at that depth has that length (or index), modulo LENGTHS: most names of a text are not even
     * as long as one that is looked for. */
    uint32_t by_length[PERI_JSON_STEPS][LENGTHS];
};

/* Nearly every name of the right length still differs in its first byte. */
PERI_JSON_INLINE bool is_step(struct peri_str name, bool is_escaped, struct peri_str step) {
    if (name.p == NULL) return step.p == NULL && step.n == name.n;
    if (step.p == NULL) return false;
    if (!is_escaped && (step.n != name.n || (name.n > 0 && *step.p != *name.p))) return false;
    return peri_json_inner_is(name, is_escaped, step);
}

/* Which paths go on with this name or element? A member that stands twice drops what the first one held. */
static void choose(struct picker *k, uint32_t through, unsigned depth, struct peri_str name,
                   bool is_escaped) {
    k->through = k->wanted = 0;
    if (!is_escaped) through &= k->by_length[depth][name.n % LENGTHS];
    for (; through != 0; through &= through - 1) {
        unsigned i = (unsigned)__builtin_ctz(through);
        if (!is_step(name, is_escaped, k->paths[i].steps[depth])) continue;
        k->found[i] = (struct peri_str){ NULL, 0 };
        if (k->paths[i].count == depth + 1)
            k->wanted |= (uint32_t)1 << i;
        else
            k->through |= (uint32_t)1 << i;
    }
}

static void keep(struct picker *k, uint32_t wanted, const char *start, const char *end) {
    for (; wanted != 0; wanted &= wanted - 1)
        k->found[__builtin_ctz(wanted)] = (struct peri_str){ start, (size_t)(end - start) };
}

PERI_JSON_INLINE const char *pick_name(struct picker *k, const char *p, uint32_t through,
                                       unsigned depth) {
    const char *end = k->s.end, *start = p + 1;
    if (p >= end || *p != '"')
        return peri_json_refuse(&k->s, p, "expected a member's name in quotes");
    unsigned flags = 0;
    if ((p = peri_json_skip_string(&k->s, start, &flags)) == NULL) return NULL;
    k->through = k->wanted = 0;
    if (through != 0)
        choose(k, through, depth, (struct peri_str){ start, (size_t)(p - start) }, flags != 0);
    p = peri_json_skip_space(p + 1, end);
    if (p >= end || *p != ':')
        return peri_json_refuse(&k->s, p, "expected ':' after the member's name");
    return peri_json_skip_space(p + 1, end);
}

static const char *pick(struct picker *k, const char *p) {
    struct level levels[PERI_JSON_DEPTH], *l = levels;
    const char *const end = k->s.end;
    unsigned depth = 0; /* containers open; l is the level of the next one */

value:
    if (p >= end) return peri_json_refuse(&k->s, p, "expected a value");
    const char *start = p;
    unsigned flags = 0;
    enum peri_json_kind kind;
    switch (*p) {
    case '"':
        if ((p = peri_json_skip_string(&k->s, p + 1, &flags)) == NULL) return NULL;
        p++;
        break;
    case '{':
    case '[':
        if (depth == PERI_JSON_DEPTH) {
            k->is_too_deep = true;
            return peri_json_refuse(&k->s, p, "nested too deep");
        }
        *l = (struct level){ p, 0, k->through, k->wanted, *p == '{' };
        depth++;
        p = peri_json_skip_space(p + 1, end);
        if (p < end && *p == (l->is_object ? '}' : ']')) goto close;
        if (l->is_object) {
            if ((p = pick_name(k, p, l->through, depth - 1)) == NULL) return NULL;
        } else {
            uint32_t through = k->through;
            k->through = k->wanted = 0;
            if (through != 0) choose(k, through, depth - 1, (struct peri_str){ NULL, 0 }, false);
        }
        l++;
        goto value;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        if ((p = peri_json_skip_number(&k->s, p)) == NULL) return NULL;
        break;
    default:
        if ((p = peri_json_skip_literal(&k->s, p, &kind)) == NULL) return NULL;
        break;
    }
    if (k->wanted != 0) keep(k, k->wanted, start, p);

after:
    if (depth == 0) return p;
    l = &levels[depth - 1];
    p = peri_json_skip_space(p, end);
    if (p < end && *p == ',') {
        p = peri_json_skip_space(p + 1, end);
        if (l->is_object) {
            if ((p = pick_name(k, p, l->through, depth - 1)) == NULL) return NULL;
        } else {
            l->index++;
            k->through = k->wanted = 0;
            if (l->through != 0)
                choose(k, l->through, depth - 1, (struct peri_str){ NULL, l->index }, false);
        }
        l++;
        goto value;
    }
    if (p >= end || *p != (l->is_object ? '}' : ']'))
        return peri_json_refuse(&k->s, p,
                                l->is_object ? "expected ',' or '}' after a member"
                                             : "expected ',' or ']' after an element");

close:
    p++;
    if (l->wanted != 0) keep(k, l->wanted, l->start, p);
    depth--;
    goto after;
}

enum peri_err peri_json_scan(struct peri_str found[], struct peri_str text,
                             const struct peri_json_path paths[], size_t count,
                             struct peri_fault *fault) {
    struct picker k = { .paths = paths, .found = found };
    if (count > PATHS_MAX) return peri_fault_set(fault, PERI_EINVAL, "more than 32 paths");
    if (text.p == NULL) text = PERI_STR("");
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = (uint32_t)1 << i;
        found[i] = (struct peri_str){ NULL, 0 };
        if (paths[i].count == 0)
            k.wanted |= bit;
        else
            k.through |= bit;
        for (unsigned step = 0; step < paths[i].count; step++)
            k.by_length[step][paths[i].steps[step].n % LENGTHS] |= bit;
    }
    peri_json_scanner_init(&k.s, text, false, false);
    const char *p = pick(&k, peri_json_skip_space(text.p, k.s.end));
    if (p != NULL) {
        p = peri_json_skip_space(p, k.s.end);
        if (p < k.s.end) p = peri_json_refuse(&k.s, p, "nothing may follow the value");
    }
    if (p != NULL) return PERI_OK;
    for (size_t i = 0; i < count; i++) found[i] = (struct peri_str){ NULL, 0 };
    return peri_json_fault(fault, k.is_too_deep ? PERI_ETOOBIG : PERI_EMALFORMED, text,
                           (size_t)(k.s.bad - text.p), k.s.why);
}
