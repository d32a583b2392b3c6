/* The base URL of a provider, as people paste it: out of the address of one endpoint, with a query that must go with
 * every request (Azure's api-version), with a slash at its end. */
#include "config/options_reader.h"

/* Longest first: what stands in front of one is the base. */
static const struct peri_str endpoints[] = { PERI_STR_INIT("/chat/completions"),
                                             PERI_STR_INIT("/completions"),
                                             PERI_STR_INIT("/embeddings"),
                                             PERI_STR_INIT("/models") };

/* Base URLs that have no path by their owners' own documentation. */
static const struct peri_str bare_hosts[] = { PERI_STR_INIT("://api.deepseek.com"),
                                              PERI_STR_INIT("://api.perplexity.ai") };

/* URLs stand in logs, in dumps and in the operator's API. */
static bool is_secret_name(struct peri_str name) {
    static const struct peri_str words[] = { PERI_STR_INIT("key"),    PERI_STR_INIT("token"),
                                             PERI_STR_INIT("secret"), PERI_STR_INIT("password"),
                                             PERI_STR_INIT("auth"),   PERI_STR_INIT("credential"),
                                             PERI_STR_INIT("sig"),    PERI_STR_INIT("code") };
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t i = 0; i + words[w].n <= name.n; i++)
            if (peri_str_eq_nocase((struct peri_str){ name.p + i, words[w].n }, words[w]))
                return true;
    return false;
}

static bool has_secret(struct peri_str query) {
    struct peri_str pair, name;
    while (peri_str_cut(&pair, &query, '&')) {
        peri_str_cut(&name, &pair, '=');
        if (is_secret_name(name) || peri_str_find_char(name, '%') >= 0) return true;
    }
    return false;
}

const char *peri_option_base_url(struct peri_base_url *out, struct peri_str text) {
    struct peri_str base, query = text;
    peri_str_cut(&base, &query, '?');
    if (peri_str_find_char(text, '#') >= 0) return "a URL without fragment";
    for (size_t i = 0; i < query.n; i++)
        if ((unsigned char)query.p[i] <= 0x20 || (unsigned char)query.p[i] >= 0x7f)
            return "a URL without spaces, control characters or letters beyond ASCII";
    const char *expected = peri_option_url(base, &base);
    if (expected != NULL) return expected;
    if (has_secret(query))
        return "a URL without credentials in its query (they belong into 'key' or 'headers')";
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        if (!peri_str_has_suffix(base, endpoints[i])) continue;
        base.n -= endpoints[i].n;
        peri_option_url(base, &base); /* slashes in front of it go, too */
        break;
    }
    struct peri_str rest = peri_str_from(base, (size_t)peri_str_find(base, PERI_STR("://")) + 3);
    *out = (struct peri_base_url){ base, query, peri_str_find_char(rest, '/') >= 0 };
    return NULL;
}

static void warn_bare(struct peri_reader *r, const struct peri_node *node, struct peri_str base) {
    for (size_t i = 0; i < sizeof bare_hosts / sizeof *bare_hosts; i++)
        if (peri_str_has_suffix(base, bare_hosts[i])) return;
    int shown = (int)(base.n < 200 ? base.n : 200);
    peri_fault_list_warn(r->faults, &node->where,
                         "'%s' has no path, so that requests go to %.*s/chat/completions: most "
                         "providers want %.*s/v1",
                         r->path, shown, base.p, shown, base.p);
}

void peri_read_base_url(struct peri_reader *r, const struct peri_node *node, struct peri_str *out) {
    struct peri_base_url url;
    if (node->kind != PERI_NODE_STRING) {
        peri_reader_expected(r, node, "a URL such as \"https://api.openai.com/v1\"");
        return;
    }
    const char *expected = peri_option_base_url(&url, node->text);
    /* Not repeated: what is wrong with a URL is often the password in it. */
    if (expected != NULL) {
        peri_reader_fault(r, node, "must be %s", expected);
        return;
    }
    if (!url.has_path) warn_bare(r, node, url.base);
    *out = peri_arena_printf(r->arena, "%.*s%s%.*s", PERI_STR_ARGS(url.base),
                             url.query.n > 0 ? "?" : "", PERI_STR_ARGS(url.query));
    if (out->p == NULL) r->err = PERI_ENOMEM;
}
