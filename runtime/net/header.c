#include "net/header.h"

#include "net/http.h"

const char *peri_header_fault(struct peri_header header) {
    if (header.name.n > PERI_HEADER_NAME_MAX) return "a header's name is longer than 256 bytes";
    if (!peri_http_is_token(header.name))
        return "a header's name is not made of letters, digits and !#$%&'*+-.^_`|~";
    if (header.value.n > PERI_HEADER_VALUE_MAX) return "a header's value is longer than 8192 bytes";
    if (!peri_http_is_value(header.value)) return "a header's value holds a control character";
    return NULL;
}

bool peri_header_is_framing(struct peri_str name) {
    static const struct peri_str names[] = { PERI_STR_INIT("te"),
                                             PERI_STR_INIT("host"),
                                             PERI_STR_INIT("expect"),
                                             PERI_STR_INIT("trailer"),
                                             PERI_STR_INIT("upgrade"),
                                             PERI_STR_INIT("connection"),
                                             PERI_STR_INIT("keep-alive"),
                                             PERI_STR_INIT("content-length"),
                                             PERI_STR_INIT("http2-settings"),
                                             PERI_STR_INIT("proxy-connection"),
                                             PERI_STR_INIT("transfer-encoding") };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (peri_str_eq_nocase(name, names[i])) return true;
    return false;
}
