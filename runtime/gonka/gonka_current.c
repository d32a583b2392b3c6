/* How a set of hosts becomes the current one: judged by the rules, compared with what was there, told to the builder of the fleet, and kept
 * on disk for the next start. Where it comes from is gonka_refresh.c.
 */
#include <stdio.h>

#include "base/err.h"
#include "base/file.h"
#include "gonka/chain/gonka_discovery.h"
#include "gonka/gonka_network_parts.h"

#define PATH_BYTES 1024

/* ---- The current set ---- */

/* The operator's word goes before the chain's. */
static void weigh_participant(const struct peri_config_gonka *o, struct peri_gonka_participant *p) {
    for (size_t i = 0; i < o->weight_count && p->verdict == PERI_GONKA_USABLE; i++)
        if (peri_str_eq_nocase(o->weights[i].name, p->address)) p->weight = o->weights[i].value;
}

void peri_gonka_judge(struct peri_gonka_network *n, struct peri_gonka_set *set, bool is_fixed) {
    const struct peri_config_gonka *o = n->options;
    struct peri_gonka_rules rules = {
        .agents = is_fixed ? NULL : n->agents,
        .agent_count = is_fixed ? 0 : n->agent_count,
        .allow = o->allow,
        .allow_count = o->allow_count,
        .deny = o->deny,
        .deny_count = o->deny_count,
        .allows_private = is_fixed || o->may_use_private_hosts,
        .damping = o->damping == PERI_DAMPING_SQRT  ? PERI_GONKA_DAMP_POWER
                   : o->damping == PERI_DAMPING_LOG ? PERI_GONKA_DAMP_LOG
                                                    : PERI_GONKA_DAMP_NONE,
    };
    if (peri_gonka_set_apply(set, &rules) != PERI_OK)
        return; /* nobody is usable then, and the old set stays */
    for (size_t i = 0; o->damping == PERI_DAMPING_EQUAL && i < set->count; i++)
        if (set->participants[i].verdict == PERI_GONKA_USABLE) set->participants[i].weight = 1;
    for (size_t i = 0; i < set->count && o->weight_count > 0; i++)
        weigh_participant(o, &set->participants[i]);
}

static void say_set(struct peri_gonka_network *n, const struct peri_gonka_diff *d,
                    const struct peri_gonka_set *set) {
    if (!peri_log_begin(n->env.log, PERI_LOG_INFO, "gonka hosts")) return;
    peri_log_str(n->env.log, "provider", n->network.provider->id);
    peri_log_int(n->env.log, "epoch", (int64_t)set->epoch);
    peri_log_int(n->env.log, "usable", (int64_t)set->usable_count);
    peri_log_int(n->env.log, "listed", (int64_t)set->count);
    peri_log_int(n->env.log, "kept", (int64_t)d->counts[PERI_GONKA_KEPT]);
    peri_log_int(n->env.log, "changed", (int64_t)d->counts[PERI_GONKA_CHANGED]);
    peri_log_int(n->env.log, "added", (int64_t)d->counts[PERI_GONKA_ADDED]);
    peri_log_int(n->env.log, "removed", (int64_t)d->counts[PERI_GONKA_REMOVED]);
    peri_log_bool(n->env.log, "proven", set->is_proven);
    peri_log_end(n->env.log);
    peri_log_flush(n->env.log);
}

/* Addresses of one kind of change, in `a`; NULL when memory ran out. */
static const struct peri_str *addresses_of(size_t *count, const struct peri_gonka_diff *diff,
                                           enum peri_gonka_change change, struct peri_arena *a) {
    struct peri_str *list = peri_arena_alloc(a, (diff->counts[change] + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 0; list != NULL && i < diff->count; i++) {
        const struct peri_gonka_delta *d = &diff->deltas[i];
        if (d->change == change)
            list[(*count)++] = d->after != NULL ? d->after->address : d->before->address;
    }
    return list;
}

/*   diff   NULL: the hosts are the same, judged anew */
static void tell_change(struct peri_gonka_network *n, const struct peri_gonka_diff *diff,
                        const struct peri_gonka_set *before, struct peri_arena *a) {
    struct peri_epoch_change change = { .network = n->network.provider->id,
                                        .old_epoch = before == NULL ? 0 : before->epoch,
                                        .new_epoch = n->set->epoch };
    bool is_whole = diff != NULL;
    if (is_whole) {
        change.added = addresses_of(&change.added_count, diff, PERI_GONKA_ADDED, a);
        change.removed = addresses_of(&change.removed_count, diff, PERI_GONKA_REMOVED, a);
        change.changed = addresses_of(&change.changed_count, diff, PERI_GONKA_CHANGED, a);
        is_whole = change.added != NULL && change.removed != NULL && change.changed != NULL;
    }
    /* Without memory for the lists the fleet follows all the same, and only the news is lost. */
    n->env.changed(n->env.arg, &n->network, is_whole ? &change : NULL);
    if (is_whole && n->has_started && n->webhook != NULL)
        peri_epoch_webhook_tell(n->webhook, diff, before, n->set);
}

enum peri_err peri_gonka_make_current(struct peri_gonka_network *n, struct peri_gonka_set *set) {
    if (set->usable_count == 0) return PERI_ENOTFOUND;
    struct peri_arena a;
    struct peri_gonka_diff diff;
    peri_arena_init(&a, 0);
    enum peri_err err = peri_gonka_set_diff(&diff, &a, n->set, set);
    if (err == PERI_OK) {
        struct peri_gonka_set *before = n->set;
        bool is_new = before == NULL || before->epoch != set->epoch ||
                      diff.counts[PERI_GONKA_KEPT] != diff.count;
        n->set = set;
        if (is_new) say_set(n, &diff, set);
        tell_change(n, is_new ? &diff : NULL, before, &a);
        peri_gonka_set_free(before);
    }
    peri_arena_done(&a);
    return err;
}

/* ---- Disk ---- */

static bool state_path(const struct peri_gonka_network *n, char *path) {
    if (n->env.state_dir.n == 0 || peri_str_find_char(n->network.provider->id, '/') >= 0)
        return false;
    int length = snprintf(path, PATH_BYTES, "%.*s/gonka-%.*s.json", PERI_STR_ARGS(n->env.state_dir),
                          PERI_STR_ARGS(n->network.provider->id));
    return length > 0 && length < PATH_BYTES;
}

void peri_gonka_keep(struct peri_gonka_network *n) {
    char path[PATH_BYTES];
    struct peri_fault fault;
    struct peri_str document = peri_buf_str(&n->document);
    if (document.n > 0 && state_path(n, path) &&
        peri_file_replace(peri_str_of(path), document, &fault) != PERI_OK)
        peri_log_say(n->env.log, PERI_LOG_WARN, "gonka: the host list can not be kept: %s",
                     fault.text);
}

static void read_kept(struct peri_gonka_network *n) {
    char path[PATH_BYTES];
    struct peri_buf text;
    struct peri_gonka_set *set;
    if (!state_path(n, path)) return;
    peri_buf_init(&text, PERI_GONKA_DOCUMENT_MAX);
    /* What was proven when it was kept is not taken as proven now: nobody knows who had the file. */
    bool may_be_used = !n->options->verify_proofs;
    if (may_be_used && peri_file_read(&text, peri_str_of(path), NULL) == PERI_OK &&
        peri_gonka_set_read(&set, peri_buf_str(&text), NULL) == PERI_OK) {
        peri_gonka_judge(n, set, false);
        if (peri_gonka_make_current(n, set) != PERI_OK) peri_gonka_set_free(set);
    }
    peri_buf_done(&text);
}

enum peri_err peri_gonka_refresh_begin(struct peri_gonka_network *n) {
    if (n->fixed != NULL) peri_gonka_judge(n, n->fixed, true);
    if (n->network.provider->source_count > 0) {
        read_kept(n);
        return PERI_OK;
    }
    if (n->fixed == NULL) return PERI_OK;
    struct peri_gonka_set *set = n->fixed;
    n->fixed = NULL;
    enum peri_err err = peri_gonka_make_current(n, set);
    if (err != PERI_OK) peri_gonka_set_free(set);
    return err == PERI_ENOTFOUND
               ? PERI_OK
               : err; /* deny lists may take them all: that is the operator's word */
}

/* ---- Over a reload ---- */

static bool is_followed(const struct peri_config_provider *p, struct peri_str source) {
    for (size_t i = 0; i < p->source_count; i++)
        if (peri_str_eq(p->sources[i], source)) return true;
    return false;
}

static bool is_same_network(const struct peri_config_provider *a,
                            const struct peri_config_provider *b) {
    if (!peri_str_eq(a->id, b->id)) return false;
    for (size_t i = 0; i < a->source_count; i++)
        if (is_followed(b, a->sources[i])) return true;
    return false;
}

static bool is_same_trust(const struct peri_config_gonka *a, const struct peri_config_gonka *b) {
    return a->verify_proofs && b->verify_proofs && a->trust_height == b->trust_height &&
           peri_str_eq(a->trust_chain, b->trust_chain) &&
           peri_str_eq(a->trust_block, b->trust_block) &&
           peri_str_eq(a->trust_validators, b->trust_validators);
}

/* The allow-list and the time, which hold for any set of hosts. */
static void inherit_chain(struct peri_gonka_network *n, struct peri_gonka_network *old) {
    struct peri_arena empty = n->arena;
    n->arena = old->arena;
    n->agents = old->agents;
    n->agent_count = old->agent_count;
    n->safe_ns = old->safe_ns;
    old->arena = empty;
    old->agents = NULL;
    old->agent_count = 0;
    atomic_store(&n->skew.ahead_ns, atomic_load(&old->skew.ahead_ns));
    n->epoch = old->epoch;
    n->has_epoch = old->has_epoch;
}

/* An account without money has none after a reload either. */
static void inherit_wallets(struct peri_gonka_network *n, const struct peri_gonka_network *old) {
    for (size_t i = 0; i < n->wallet_count; i++)
        for (size_t j = 0; j < old->wallet_count; j++)
            if (strcmp(n->wallets[i].wallet.address, old->wallets[j].wallet.address) == 0)
                atomic_store(&n->wallets[i].rests_until_ms,
                             atomic_load(&old->wallets[j].rests_until_ms));
}

bool peri_gonka_inherit(struct peri_network *network, struct peri_network *before) {
    struct peri_gonka_network *n = peri_gonka_network_of(network);
    struct peri_gonka_network *old = peri_gonka_network_of(before);
    bool is_trusted = is_same_trust(n->options, old->options);
    if (!is_same_network(network->provider, before->provider)) return false;
    if (n->options->verify_proofs && !is_trusted) return false;
    inherit_chain(n, old);
    inherit_wallets(n, old);
    if (is_trusted) {
        n->trusted = old->trusted;
        old->trusted = NULL;
    }
    struct peri_gonka_set *set = old->set;
    if (set == NULL) return false;
    peri_gonka_judge(n, set, false);
    if (set->usable_count == 0) return false;
    peri_gonka_set_free(n->set);
    n->set = set;
    old->set = NULL;
    n->preserved = old->preserved;
    n->status.last_ok_ms = old->status.last_ok_ms;
    return true;
}
