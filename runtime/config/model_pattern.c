#include "config/model_pattern.h"

struct halves {
    struct peri_str front, back;
};

static struct halves halves_of(struct peri_str pattern) {
    size_t star = (size_t)peri_str_find_char(pattern, '*');
    return (struct halves){ { pattern.p, star }, peri_str_from(pattern, star + 1) };
}

static bool has_halves(struct peri_str name, struct halves h, size_t least) {
    return name.n >= least && peri_str_eq_nocase((struct peri_str){ name.p, h.front.n }, h.front) &&
           peri_str_eq_nocase((struct peri_str){ name.p + name.n - h.back.n, h.back.n }, h.back);
}

bool peri_pattern_matches(struct peri_str pattern, struct peri_str name, struct peri_str *star) {
    if (!peri_is_pattern(pattern)) return peri_str_eq_nocase(pattern, name);
    struct halves h = halves_of(pattern);
    if (!has_halves(name, h, h.front.n + h.back.n)) return false;
    if (star != NULL)
        *star = (struct peri_str){ name.p + h.front.n, name.n - h.front.n - h.back.n };
    return true;
}

bool peri_pattern_covers(struct peri_str wide, struct peri_str narrow) {
    if (!peri_is_pattern(wide) || !peri_is_pattern(narrow))
        return peri_pattern_matches(wide, narrow, NULL);
    struct halves w = halves_of(wide), n = halves_of(narrow);
    return n.front.n >= w.front.n && n.back.n >= w.back.n &&
           peri_str_eq_nocase((struct peri_str){ n.front.p, w.front.n }, w.front) &&
           peri_str_eq_nocase(peri_str_from(n.back, n.back.n - w.back.n), w.back);
}
