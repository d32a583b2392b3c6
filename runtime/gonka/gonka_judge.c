/* What the refusals of hosts, and of brokers and gateways in front of the network, are about: the advice of gonka_diagnose.h in the
 * terms of fleet/network.h. */
#include "gonka/gonka_diagnose.h"
#include "gonka/gonka_network_parts.h"

static const enum peri_refusal refusals[] = {
    [PERI_GONKA_ACT_NONE] = PERI_REFUSAL_OF_STATUS,
    [PERI_GONKA_ACT_CLIENT] = PERI_REFUSAL_OF_REQUEST,
    [PERI_GONKA_ACT_RESIGN] = PERI_REFUSAL_OF_MOMENT,
    [PERI_GONKA_ACT_NEXT] = PERI_REFUSAL_OF_MOMENT,
    [PERI_GONKA_ACT_COOL] = PERI_REFUSAL_OF_LOAD,
    [PERI_GONKA_ACT_DROP_ENDPOINT] = PERI_REFUSAL_OF_PROVIDER,
    [PERI_GONKA_ACT_DROP_MODEL] = PERI_REFUSAL_OF_MODEL,
    [PERI_GONKA_ACT_DROP_WALLET] = PERI_REFUSAL_OF_WALLET,
    [PERI_GONKA_ACT_DROP_NETWORK] = PERI_REFUSAL_OF_NETWORK,
    [PERI_GONKA_ACT_RESYNC_CLOCK] = PERI_REFUSAL_OF_MOMENT,
};

static struct peri_judgement judge(struct peri_gonka_advice advice, const char *event) {
    bool is_known = advice.action != PERI_GONKA_ACT_NONE;
    return (struct peri_judgement){
        .refusal = refusals[advice.action],
        .is_outdated = advice.action == PERI_GONKA_ACT_RESYNC_CLOCK,
        .event = is_known ? event : NULL,
        .code = advice.code,
        .action = peri_gonka_action_name(advice.action),
        .sentence = advice.sentence,
    };
}

struct peri_judgement peri_gonka_judge_host(const struct peri_provider *p, size_t wallet,
                                            int status, struct peri_str body, uint64_t now_ms) {
    struct peri_judgement j = judge(peri_gonka_diagnose(status, body), "gonka node refused");
    /* A host that alone says so is set aside itself: an honest one loses little by it. */
    if (j.refusal == PERI_REFUSAL_OF_WALLET &&
        !peri_gonka_rest_wallet(peri_gonka_network_of(p->found_by), wallet, p->address, now_ms))
        j.refusal = PERI_REFUSAL_OF_HOST;
    return j;
}

struct peri_judgement peri_gonka_judge_broker(const struct peri_provider *p, size_t wallet,
                                              int status, struct peri_str body, uint64_t now_ms) {
    struct peri_judgement j = judge(peri_gonka_recognise(status, body), "gonka gateway refused");
    (void)p, (void)wallet, (void)now_ms;
    /* A gateway or broker is all of the network that is behind it. */
    if (j.refusal == PERI_REFUSAL_OF_NETWORK) j.refusal = PERI_REFUSAL_OF_PROVIDER;
    /* The wallet is the gateway's own. */
    if (j.refusal == PERI_REFUSAL_OF_WALLET) j.refusal = PERI_REFUSAL_OF_STATUS;
    return j;
}
