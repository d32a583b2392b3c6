#include "net/body_kind.h"

static struct peri_str behind_blanks(struct peri_str s) {
    while (s.n > 0 && s.p[0] != '\0' && strchr(" \t\r\n", s.p[0]) != NULL) s = peri_str_from(s, 1);
    return s;
}

size_t peri_body_blanks(struct peri_str front) {
    struct peri_str rest = peri_str_after_mark(front);
    struct peri_str told = behind_blanks(rest);
    return told.n < rest.n ? front.n - told.n - 1 : 0;
}

enum peri_body_kind peri_body_kind_of(struct peri_str front) {
    static const struct peri_str fields[] = { PERI_STR_INIT("data:"), PERI_STR_INIT("event:"),
                                              PERI_STR_INIT("id:"), PERI_STR_INIT("retry:") };
    const struct peri_str mark = PERI_STR(PERI_BYTE_ORDER_MARK);
    if (front.n < mark.n && peri_str_has_prefix(mark, front)) return PERI_BODY_UNKNOWN;
    front = behind_blanks(peri_str_after_mark(front));
    if (front.n == 0) return PERI_BODY_UNKNOWN;
    switch (front.p[0]) {
    case '{':
    case '[': return PERI_BODY_JSON;
    case '<': return PERI_BODY_PAGE;
    case ':': return PERI_BODY_EVENTS;
    default: break;
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (peri_str_has_prefix(front, fields[i])) return PERI_BODY_EVENTS;
        if (front.n < fields[i].n && peri_str_has_prefix(fields[i], front))
            return PERI_BODY_UNKNOWN;
    }
    return PERI_BODY_OTHER;
}

enum peri_body_kind peri_body_kind_of_label(struct peri_str value) {
    struct peri_str type, rest = value;
    static const struct peri_str json = PERI_STR_INIT("+json"), app = PERI_STR_INIT("application/");
    if (!peri_str_cut(&type, &rest, ';')) type = value;
    type = peri_str_trim(type);
    if (peri_str_eq_nocase(type, PERI_STR("text/event-stream"))) return PERI_BODY_EVENTS;
    if (peri_str_eq_nocase(type, PERI_STR("application/json")) ||
        peri_str_eq_nocase(type, PERI_STR("text/json")))
        return PERI_BODY_JSON;
    bool is_suffixed = type.n > app.n + json.n &&
                       peri_str_eq_nocase((struct peri_str){ type.p, app.n }, app) &&
                       peri_str_eq_nocase(peri_str_from(type, type.n - json.n), json);
    return is_suffixed ? PERI_BODY_JSON : PERI_BODY_UNKNOWN;
}
