#include "router/path.h"

#include "crypto/encode.h"

/* The next segment that is not empty, taken off the front; p NULL: there is none. */
static struct peri_str take_segment(struct peri_str *path) {
    while (path->n > 0 && path->p[0] == '/') *path = peri_str_from(*path, 1);
    if (path->n == 0) return (struct peri_str){ NULL, 0 };
    ptrdiff_t slash = peri_str_find_char(*path, '/');
    struct peri_str segment = { path->p, slash < 0 ? path->n : (size_t)slash };
    *path = peri_str_from(*path, segment.n);
    return segment;
}

static struct peri_str without_version(struct peri_str path) {
    for (struct peri_str rest = path; peri_str_eq(take_segment(&rest), PERI_STR("v1"));)
        path = rest;
    return path;
}

bool peri_path_is(struct peri_str path, struct peri_str known) {
    path = without_version(path);
    known = without_version(known);
    for (;;) {
        struct peri_str a = take_segment(&path), b = take_segment(&known);
        if ((a.p == NULL) != (b.p == NULL) || !peri_str_eq(a, b)) return false;
        if (a.p == NULL) return true;
    }
}

struct peri_str peri_path_behind(struct peri_str path, struct peri_str known) {
    path = without_version(path);
    known = without_version(known);
    for (struct peri_str b = take_segment(&known); b.p != NULL; b = take_segment(&known))
        if (!peri_str_eq(take_segment(&path), b)) return (struct peri_str){ NULL, 0 };
    return path.n > 1 ? peri_str_from(path, 1) : (struct peri_str){ NULL, 0 };
}

/* gives false where no escape stands at `i` */
static bool decode_escape(unsigned char *out, struct peri_str text, size_t i) {
    size_t n;
    return text.p[i] == '%' && text.n - i >= 3 &&
           peri_hex_decode(out, 1, &n, (struct peri_str){ text.p + i + 1, 2 }) == PERI_OK;
}

bool peri_path_decode(char *out, size_t room, size_t *n, struct peri_str text) {
    *n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (*n == room) return false;
        unsigned char byte;
        bool is_escape = decode_escape(&byte, text, i);
        out[(*n)++] = is_escape ? (char)byte : text.p[i];
        if (is_escape) i += 2;
    }
    return true;
}

unsigned peri_path_distance(struct peri_str path, struct peri_str known, unsigned limit) {
    path = without_version(path);
    known = without_version(known);
    return peri_str_distance(path, known, limit);
}
