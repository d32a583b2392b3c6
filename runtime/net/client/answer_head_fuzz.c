/* Heads of answers, whole and in lines: what is accepted can be framed in one way only and copied to a client. */
#include "net/client/answer_head.h"

static void check_headers(const struct peri_answer_head *h) {
    struct peri_header headers[PERI_ANSWER_LINES_MAX];
    size_t count = peri_answer_head_view(h, headers, PERI_ANSWER_LINES_MAX), lengths = 0;
    if (count != h->line_count) __builtin_trap();
    for (size_t i = 0; i < count; i++) {
        if (!peri_http_is_token(headers[i].name) || !peri_http_is_value(headers[i].value))
            __builtin_trap();
        lengths += peri_str_eq_nocase(headers[i].name, PERI_STR("content-length"));
    }
    if (lengths > 1 || (lengths == 1) != h->has_length || (h->has_length && h->is_chunked))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct peri_str rest = { (const char *)data, n };
    struct peri_answer_head h;
    enum peri_err err = PERI_OK;
    peri_answer_head_init(&h);
    while (err == PERI_OK && rest.n > 0) {
        ptrdiff_t end = peri_str_find_char(rest, '\n');
        size_t taken = end < 0 ? rest.n : (size_t)end + 1;
        err = peri_answer_head_line(&h, (struct peri_str){ rest.p, taken }, 4096);
        rest = peri_str_from(rest, taken);
    }
    if (err == PERI_OK && h.is_complete) check_headers(&h);
    if (err != PERI_OK && err != PERI_ENOMEM && h.why == NULL) __builtin_trap();
    if (h.taken > 4096 && err == PERI_OK) __builtin_trap();
    peri_answer_head_done(&h);
    return 0;
}
