/* Whatever a provider puts into an event, reading it ends, and what is broken is never taken for content. */
#include "dialect/stream.h"
#include "dialect/upstream_error.h"

#include <stdlib.h>

#include "base/json_text.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct peri_stream_state s = { 0 };
    struct peri_str data = { (const char *)bytes, n };
    enum peri_stream_kind kind = peri_stream_read(&s, PERI_STR(""), data);
    bool is_json = peri_json_scan(NULL, data, NULL, 0, NULL) == PERI_OK;
    if (!is_json && kind <= PERI_STREAM_USAGE) abort();
    if (kind == PERI_STREAM_CONTENT && !s.saw_content) abort();

    struct peri_stream_state a;
    enum peri_err err = peri_answer_read(&a, data);
    if (err == PERI_OK && !is_json) abort();
    if (a.usage.is_known && a.usage.total_tokens > 2 * (uint64_t)PERI_TOKENS_MAX) abort();

    struct peri_upstream_error e;
    peri_upstream_error_read(&e, data, PERI_STR("canary-key-0123456789"));
    struct peri_str shown = peri_str_of(e.message);
    if (shown.n == 0 || peri_utf8_valid(shown) != shown.n) abort();
    if (peri_str_find(shown, PERI_STR("canary")) >= 0 ||
        peri_str_find(shown, PERI_STR("456789")) >= 0)
        abort();
    return 0;
}
