#include "script/policy/policy_program.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "script/state/state.h"

/*   out   its text, to be freed */
static enum peri_err read_text(struct peri_str *out, int64_t *changed_ns,
                               const struct peri_config_policy *c, struct peri_fault *fault) {
    struct peri_file_facts facts = { 0 };
    char *text = NULL;
    size_t n = 0;
    enum peri_err err = peri_file_look(&facts, c->path.p);
    if (err == PERI_OK && facts.bytes > PERI_SOURCE_MAX) {
        err = peri_fault_set(fault, PERI_ETOOBIG, "%s: a policy may have at most %d bytes, got %zu",
                             c->file.p, PERI_SOURCE_MAX, facts.bytes);
    } else if (err == PERI_OK && (text = peri_malloc(facts.bytes + 1)) == NULL) {
        err = peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    } else if (err == PERI_OK) {
        n = facts.bytes; /* somebody who is just writing it makes another change */
        err = peri_file_take(text, &n, &facts, c->path.p);
    }
    if (err == PERI_EINVAL)
        err = peri_fault_set(fault, PERI_EIO, "%s: a policy must be a regular file", c->file.p);
    else if (err == PERI_EIO || err == PERI_ENOTFOUND)
        peri_fault_set(fault, err, "%s: the policy can not be read: %s", c->file.p,
                       strerror(errno));
    *out = (struct peri_str){ text, n };
    *changed_ns = facts.changed_ns;
    return err;
}

/* How the file has fared until now: of several with that name the one in the same place among them. */
static struct peri_policy_standing *find_before(const struct peri_policy_program *current,
                                                struct peri_str name, size_t nth) {
    for (size_t i = 0; current != NULL && i < current->count; i++)
        if (peri_str_eq(current->files[i]->file->name, name) && nth-- == 0)
            return current->files[i];
    return NULL;
}

static size_t count_before(const struct peri_config *config, size_t place) {
    size_t n = 0;
    for (size_t i = 0; i < place; i++)
        n += peri_str_eq(config->policies[i].file, config->policies[place].file);
    return n;
}

static enum peri_err read_policy(struct peri_policy_standing **out,
                                 const struct peri_config *config, size_t place,
                                 const struct peri_policy_program *current, uint64_t generation,
                                 struct peri_fault *fault) {
    const struct peri_config_policy *c = &config->policies[place];
    const char *slash = memrchr(c->path.p, '/', c->path.n);
    struct peri_str folder =
        slash == NULL ? PERI_STR(".") : (struct peri_str){ c->path.p, (size_t)(slash - c->path.p) };
    struct peri_str text;
    int64_t changed_ns = 0;
    enum peri_err err = read_text(&text, &changed_ns, c, fault);
    if (err == PERI_OK) {
        struct peri_str options = c->options.n > 0 ? c->options : PERI_STR("{}");
        struct peri_policy_file *file =
            peri_policy_file_new(c->file, text, options, folder, changed_ns, generation);
        if (file != NULL)
            *out = peri_policy_standing_of(
                file, find_before(current, c->file, count_before(config, place)));
        if (*out == NULL) err = peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    }
    peri_free((char *)text.p);
    return err;
}

void peri_policy_program_free(struct peri_policy_program *p) {
    if (p == NULL) return;
    for (size_t i = 0; i < p->count; i++) peri_policy_standing_unref(p->files[i]);
    peri_free(p);
}

enum peri_err peri_policy_program_read(struct peri_policy_program **out,
                                       const struct peri_config *config,
                                       const struct peri_policy_program *current,
                                       uint64_t generation, struct peri_fault *fault) {
    *out = NULL;
    if (config->policy_count == 0) return PERI_OK;
    struct peri_policy_program *p =
        peri_calloc(1, sizeof *p + config->policy_count * sizeof p->files[0]);
    if (p == NULL) return peri_fault_set(fault, PERI_ENOMEM, "out of memory");
    enum peri_err err = PERI_OK;
    for (size_t i = 0; err == PERI_OK && i < config->policy_count; i++) {
        err = read_policy(&p->files[i], config, i, current, generation, fault);
        if (err == PERI_OK) p->count++;
    }
    if (err != PERI_OK) {
        peri_policy_program_free(p);
        return err;
    }
    *out = p;
    return PERI_OK;
}

/* ---- For the operator ---- */

static void put_text(struct peri_buf *b, const char *name, const char *text) {
    peri_json_put_text_member(b, name, peri_str_of(text != NULL ? text : ""));
}

static void put_policy(struct peri_buf *b, struct peri_policy_standing *s) {
    struct peri_policy_fall fall;
    enum peri_policy_state state = peri_policy_state_of(s);
    const struct peri_policy_file *text = peri_policy_text(s, state);
    peri_policy_standing_read(s, &fall);
    bool has_fallen = state != PERI_POLICY_STANDS;
    peri_json_put_open(b, '{');
    put_text(b, "file", s->file->name.p);
    put_text(b, "name", fall.name);
    put_text(b, "state",
             !has_fallen                      ? "current"
             : state == PERI_POLICY_FELL_BACK ? "fell_back"
             : fall.is_guard                  ? "refuses"
                                              : "out");
    peri_json_put_name(b, "generation");
    peri_json_put_int(b, (int64_t)(text != NULL ? text : s->file)->generation);
    peri_json_put_name(b, "since");
    if (has_fallen)
        peri_json_put_int(b, (int64_t)(fall.since_ns / 1000000000u));
    else
        peri_buf_add(b, PERI_STR("null"));
    put_text(b, "hook", has_fallen ? fall.hook : NULL);
    put_text(b, "at", has_fallen ? fall.at : NULL);
    put_text(b, "error", has_fallen ? peri_err_name(fall.fault.err) : NULL);
    put_text(b, "detail", has_fallen ? fall.fault.text : NULL);
    peri_json_put_close(b, '}');
}

void peri_policy_program_list(const struct peri_policy_program *p, struct peri_buf *out) {
    peri_json_put_open(out, '[');
    for (size_t i = 0; p != NULL && i < p->count; i++) put_policy(out, p->files[i]);
    peri_json_put_close(out, ']');
}
