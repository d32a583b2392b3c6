/* The head of a request, in one of three forms. For a wire it is the plain text.
 *
 * libcurl 7.88 formats a head byte by byte, 125 instructions each: for a 150-byte head a sixth of all that
 * proxying a request costs, and keys of 160 bytes are common. Only the request target is copied whole. So for
 * HTTP/1.1 the target we give ends inside the head: "/v1/chat/completions HTTP/1.1", our header lines, and at
 * last "user-agent: perilune", to which libcurl's own " HTTP/1.1" is a second product token. Every byte of it
 * has been checked (names are tokens, values hold no control characters, URLs neither), and the lines that
 * libcurl would add are suppressed.
 *
 * The third form, a list of lines, is for HTTP/2, for callers with a user-agent of their own, and for other
 * versions of libcurl, which may look into the target. */
#include "base/buf.h"
#include "base/mem.h"
#include "net/client/client_parts.h"

/* libcurl 7.88 asks with "Expect" before bodies of more than a megabyte. */
#define EXPECT_BYTES 524288

#define LINE(text, next)                                                                           \
    { (char *)(text), (struct curl_slist *)(next) } /* libcurl only reads them */

/* In front of small bodies the first one is left out: every line is compared with some ten names. */
static const struct curl_slist quiet[5] = {
    LINE("Expect:", &quiet[1]),       LINE("Host:", &quiet[2]), LINE("Content-Length:", &quiet[3]),
    LINE("Content-Type:", &quiet[4]), LINE("Accept:", NULL),
};

static bool has_header(const struct peri_call_spec *spec, struct peri_str name) {
    for (size_t i = 0; i < spec->header_count; i++)
        if (peri_str_eq_nocase(spec->headers[i].name, name)) return true;
    return false;
}

static size_t text_bytes(const struct peri_call_spec *spec) {
    size_t n = 0;
    for (size_t i = 0; i < spec->header_count; i++)
        n += spec->headers[i].name.n + spec->headers[i].value.n + 4;
    return n;
}

static struct peri_call *alloc(size_t extra) {
    struct peri_call *call = peri_calloc(1, sizeof *call + extra);
    if (call != NULL) call->extra_bytes = extra;
    return call;
}

static char *put(char *at, struct peri_str s) {
    if (s.n > 0) memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *put_number(char *at, uint64_t n) {
    char digits[20];
    size_t i = sizeof digits;
    do digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return put(at, (struct peri_str){ digits + i, sizeof digits - i });
}

/* All but what stands before the target and behind the last value: " HTTP/1.1" and the lines. */
static size_t rest_bytes(const struct peri_call_spec *spec) {
    return sizeof " HTTP/1.1\r\nhost: " + peri_url_authority(spec->url).n + text_bytes(spec) +
           sizeof "\r\ncontent-length: " + 20 + sizeof "\r\nuser-agent: perilune";
}

static char *put_rest(char *at, const struct peri_call_spec *spec) {
    at = put(at, PERI_STR(" HTTP/1.1"));
    if (!has_header(spec, PERI_STR("host")))
        at = put(put(at, PERI_STR("\r\nhost: ")), peri_url_authority(spec->url));
    for (size_t i = 0; i < spec->header_count; i++) {
        at = put(put(at, PERI_STR("\r\n")), spec->headers[i].name);
        at = put(put(at, PERI_STR(": ")), peri_str_trim(spec->headers[i].value));
    }
    if (peri_call_sends_body(spec))
        at = put_number(put(at, PERI_STR("\r\ncontent-length: ")), spec->body.n);
    if (!has_header(spec, PERI_STR("user-agent")))
        at = put(at, PERI_STR("\r\nuser-agent: perilune"));
    return at;
}

/* One piece: the target, and behind it all of the head. */
static struct peri_call *alloc_with_target(const struct peri_call_spec *spec) {
    struct peri_str target = peri_url_target(spec->url);
    struct peri_call *call = alloc(target.n + rest_bytes(spec) + 1);
    if (call == NULL) return NULL;
    call->target = (char *)(call + 1);
    *put_rest(put(call->target, target), spec) = '\0';
    call->lines = (struct curl_slist *)&quiet[spec->body.n < EXPECT_BYTES ? 1 : 0];
    return call;
}

static struct peri_call *alloc_with_text(const struct peri_call_spec *spec) {
    struct peri_str target = peri_url_target(spec->url);
    struct peri_call *call =
        alloc(spec->method.n + 1 + target.n + rest_bytes(spec) + sizeof "\r\n\r\n");
    if (call == NULL) return NULL;
    char *text = (char *)(call + 1);
    char *at = put(put(put(text, spec->method), PERI_STR(" ")), target);
    at = put(put_rest(at, spec), PERI_STR("\r\n\r\n"));
    call->text = (struct peri_str){ text, (size_t)(at - text) };
    return call;
}

/* libcurl reads "Name:" as "send none" and "Name;" as "send an empty one". */
static char *put_line(char *at, struct peri_header header) {
    struct peri_str value = peri_str_trim(header.value);
    at = put(at, header.name);
    at = value.n == 0 ? put(at, PERI_STR(";")) : put(put(at, PERI_STR(": ")), value);
    *at++ = '\0';
    return at;
}

static struct peri_call *alloc_with_lines(const struct peri_call_spec *spec) {
    static const char *const own[] = { "Expect:", "Accept:", "Content-Type:" };
    const size_t own_count = sizeof own / sizeof *own;
    size_t count = 0, room = (spec->header_count + own_count) * sizeof(struct curl_slist);
    struct peri_call *call = alloc(room + text_bytes(spec));
    if (call == NULL) return NULL;
    struct curl_slist *lines = (struct curl_slist *)(void *)(call + 1);
    char *at = (char *)(call + 1) + room;
    for (; count < spec->header_count; count++) {
        lines[count].data = at;
        at = put_line(at, spec->headers[count]);
    }
    for (size_t i = 0; i < own_count; i++)
        if (!has_header(spec, (struct peri_str){ own[i], strlen(own[i]) - 1 }))
            lines[count++].data = (char *)own[i];
    for (size_t i = 0; i + 1 < count; i++) lines[i].next = &lines[i + 1];
    call->lines = lines;
    return call;
}

bool peri_call_target_is_safe(void) {
    return curl_version_info(CURLVERSION_NOW)->version_num >> 8 == 0x0758; /* 7.88 */
}

struct peri_call *peri_call_alloc(const struct peri_client *c, const struct peri_call_spec *spec,
                                  bool is_plain) {
    if (is_plain) return alloc_with_text(spec);
    bool is_http2 = spec->use_http2 && peri_url_is_tls(spec->url);
    if (is_http2 || has_header(spec, PERI_STR("user-agent")) || !c->may_use_target)
        return alloc_with_lines(spec);
    return alloc_with_target(spec);
}
