#include "gonka/gonka_diagnose.h"

#define BODY_LOOKED_AT 8192

/* A rule applies when the status is the one it names (0: any) and the body has the words. The first that applies
 * counts, so those with words stand before the ones for the rest of their status. */
struct rule {
    int status;
    struct peri_str words;
    struct peri_gonka_advice advice;
};

#define RULE(status, words, action, code, sentence)                                                \
    {                                                                                              \
        status, PERI_STR_INIT(words), { PERI_GONKA_ACT_##action, "gonka_" code, sentence }         \
    }

static const struct rule rules[] = {
    RULE(410, "http_session_retired", DROP_NETWORK, "devshard_session_retired",
         "The host retired this devshard protocol. Update the gateway (devshardctl) that speaks "
         "it."),
    RULE(410, "", DROP_NETWORK, "api_closed",
         "The node closed the classic signed API (v0.2.14 and later). Use a Gonka broker or your "
         "own devshard "
         "gateway as an ordinary provider with a key, or nodes of a network before v0.2.14."),
    RULE(308, "", DROP_NETWORK, "moved",
         "The gateway is switched off or has moved. Look at 'new_url' in its answer and change the "
         "provider's "
         "URL."),
    RULE(403, "Transfer Agent not allowed", DROP_ENDPOINT, "agent_not_allowed",
         "This node is not on the chain's list of transfer agents. Use nodes from "
         "transfer_agent_access_params.allowed_transfer_addresses, or a broker."),
    RULE(403, "inference requests are restricted", DROP_NETWORK, "developers_restricted",
         "The network takes requests from listed developers only until the height it names. Ask "
         "for a place on "
         "developer_access_params.allowed_developer_addresses, or use a broker."),
    RULE(403, "sender not in group", DROP_NETWORK, "not_in_group",
         "The account is no member of this devshard. Check the escrow and the account that created "
         "it."),
    RULE(403, "restricted to escrow owner", DROP_NETWORK, "not_escrow_owner",
         "Only the owner of the escrow may do this. Use the account that created it."),
    RULE(401, "requires an admin API key", DROP_MODEL, "model_needs_admin_key",
         "The gateway serves this model to administrators only. Use another model or another "
         "gateway."),
    RULE(401, "requires an API key", DROP_MODEL, "model_needs_key",
         "The gateway serves this model with an API key only. Configure the key of this very "
         "gateway; keys of other "
         "brokers do not count."),
    RULE(401, "Authorization is required", DROP_NETWORK, "unsigned",
         "The node got no signature. Configure GONKA_PRIVATE_KEY, and see that nothing on the way "
         "removes the "
         "Authorization header."),
    RULE(401, "TransferSignature", NEXT, "transfer_signature",
         "The node that takes requests and the one that computes disagree about a signature; "
         "nothing is to be "
         "done here."),
    RULE(401, "PubKey", DROP_ENDPOINT, "signature_refused",
         "The node refused the signature. Check that the private key belongs to the requester's "
         "address "
         "(GONKA_ADDRESS), that the endpoint's address is the account of the node at its URL, and "
         "for nodes up to "
         "v0.2.5 choose the older signing scheme."),
    RULE(401, "drift", RESYNC_CLOCK, "clock_drift",
         "The host finds the time stamp too far off. Synchronise this machine's clock (NTP)."),
    RULE(401, "", DROP_ENDPOINT, "unauthorized",
         "The credentials were refused. Check the key, and that it belongs to this broker or "
         "network."),
    RULE(402, "", DROP_WALLET, "no_balance",
         "The account has too little balance for this prompt and output limit. Fund it, lower "
         "max_tokens, or add "
         "another wallet."),
    RULE(400, "signature is too old", RESYNC_CLOCK, "stamp_too_old",
         "The node finds the time stamp too old: this machine's clock is behind, the request "
         "waited too long, or the "
         "node lags behind the chain. Synchronise the clock (NTP)."),
    RULE(400, "Request timestamp is too old", RESYNC_CLOCK, "stamp_too_old",
         "The computing node finds the time stamp too old: the clock is behind or the request "
         "waited too long. "
         "Synchronise the clock (NTP)."),
    RULE(400, "signature is in the future", RESYNC_CLOCK, "stamp_in_future",
         "The node finds the time stamp in the future: this machine's clock is ahead, or the node "
         "lags behind "
         "the chain. Synchronise the clock (NTP)."),
    RULE(400, "AuthKey has already been used", RESIGN, "stamp_used",
         "The node has seen this signature before. Each attempt must be signed anew; see that "
         "nothing between here and the node repeats requests."),
    RULE(400, "Prompt hash", NEXT, "prompt_hash",
         "The computing node got another prompt than was signed for; nothing is to be done here."),
    RULE(400, "batch prompts are not supported", CLIENT, "batch_prompt",
         "Gonka takes one prompt a request. Send the prompts one by one."),
    RULE(400, "currently rejected by the Gonka network", CLIENT, "parameter_rejected",
         "The network takes a closed list of parameters. Remove the one it names, or let policy "
         "gonka_rules do "
         "so."),
    RULE(400, "unsupported model", DROP_MODEL, "model_unsupported",
         "The gateway does not serve the model. Its answer lists those it does; ids are "
         "case-sensitive."),
    RULE(400, "", CLIENT, "bad_request", "The node refuses the request itself."),
    RULE(404, "model not found", DROP_MODEL, "no_such_model",
         "No host serves this model in the present epoch. Ids are case-sensitive; look at "
         "/v1/models."),
    RULE(404, "Account not found", DROP_WALLET, "no_account",
         "The chain does not know the account. Check the private key, then fund the account."),
    RULE(404, "Inference participant not found", DROP_WALLET, "no_account",
         "The chain does not know the account as an inference participant. Check the private key, "
         "then register "
         "and fund the account."),
    RULE(404, "", DROP_ENDPOINT, "no_such_path",
         "The URL has no such API. Check the provider's URL; Gonka nodes have chat completions "
         "only, under /v1."),
    RULE(405, "", DROP_ENDPOINT, "no_such_method",
         "The URL takes no such request. Check the provider's URL."),
    RULE(409, "", COOL, "devshard_unavailable",
         "The gateway's devshard is not available just now; it comes back by itself."),
    RULE(413, "", CLIENT, "body_too_large",
         "The request is larger than the 10 MiB a node takes. Shorten the prompt."),
    RULE(422, "", CLIENT, "bad_request", "The node refuses the request itself."),
    RULE(429, "Transfer Agent capacity", COOL, "agent_full",
         "The node takes no more requests now. Others may; more endpoints help."),
    RULE(429, "budget exhausted", COOL, "budget_exhausted",
         "The gateway used up what its hosts take for now. Wait, or use another gateway."),
    RULE(429, "", COOL, "rate_limited",
         "The node or its proxy limits the rate. Spread the load over more endpoints or wallets."),
    RULE(500, "nil pointer", DROP_WALLET, "account_without_key",
         "The node fails on an account whose public key the chain does not know. Send one "
         "transaction from the "
         "account (any small transfer), so that its key is published."),
    RULE(500, "desc = account", DROP_WALLET, "no_account",
         "The node could not look up the account. If others work, fund the account and send one "
         "transaction "
         "from it."),
    RULE(500, "escrow not found", DROP_NETWORK, "no_escrow",
         "The host does not know the escrow. Check the gateway's escrow id."),
    RULE(503, "no executors available", DROP_MODEL, "no_executors",
         "No host can compute this model now. It is usual in proof-of-compute windows; else choose "
         "another model."),
    RULE(503, "no inference nodes available", COOL, "no_machines",
         "The host has no machine free for this model now. It is usual in proof-of-compute "
         "windows."),
    RULE(503, "unavailable during", COOL, "proof_window",
         "The network computes proofs now and most hosts do not serve. It lasts some minutes; add "
         "a provider of "
         "another kind as fallback."),
    RULE(503, "temporarily unavailable", COOL, "unavailable",
         "The model or gateway is not available just now; it comes back by itself."),
    RULE(503, "requests_disabled", DROP_ENDPOINT, "requests_disabled",
         "The network switched devshard requests off. Look at "
         "devshard_escrow_params.devshard_requests_enabled."),
    RULE(
        503, "unable to fetch", COOL, "node_without_chain",
        "The node has lost its own chain node; it comes back by itself, or its operator must act."),
    RULE(500, "", COOL, "node_failed", "The node failed; another one may work."),
    RULE(502, "", COOL, "node_failed", "The node's inner server failed; another one may work."),
    RULE(503, "", COOL, "unavailable", "The node is not available just now; another one may be."),
    RULE(504, "", COOL, "timeout",
         "The node ran out of time. Long prompts need patient providers: route them by size."),
    RULE(408, "", NEXT, "timeout", "The node ran out of patience while it read the request."),
    RULE(0, "", COOL, "no_answer",
         "The node did not answer. It may be down, or its proxy has banned this address for asking "
         "too often."),
};

static bool has_words(struct peri_str body, struct peri_str words) {
    return words.n == 0 || peri_str_find(body, words) >= 0;
}

struct peri_gonka_advice peri_gonka_diagnose(int status, struct peri_str body) {
    static const struct peri_gonka_advice fine = { PERI_GONKA_ACT_NONE, "gonka_ok",
                                                   "The node answered." };
    static const struct peri_gonka_advice other_4xx = { PERI_GONKA_ACT_CLIENT, "gonka_refused",
                                                        "The node refuses the request." };
    static const struct peri_gonka_advice forbidden = {
        PERI_GONKA_ACT_DROP_ENDPOINT, "gonka_forbidden",
        "The node or its proxy does not let this account or address in. Use another endpoint."
    };
    static const struct peri_gonka_advice other_5xx = { PERI_GONKA_ACT_COOL, "gonka_node_failed",
                                                        "The node failed; another one may work." };
    if (body.n > BODY_LOOKED_AT) body.n = BODY_LOOKED_AT;
    if (status >= 200 && status < 300) return fine;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].status == status && has_words(body, rules[i].words)) return rules[i].advice;
    if (status == 403) return forbidden;
    return status >= 400 && status < 500 ? other_4xx : other_5xx;
}

struct peri_gonka_advice peri_gonka_recognise(int status, struct peri_str body) {
    static const struct peri_str telling[] = {
        PERI_STR_INIT("classic inference is deprecated"),
        PERI_STR_INIT("devshard"),
        PERI_STR_INIT("http_session_retired"),
        PERI_STR_INIT("\"new_url\""),
        PERI_STR_INIT("Transfer Agent not allowed"),
        PERI_STR_INIT("inference requests are restricted until block height"),
        PERI_STR_INIT("\" requires an API key"),
        PERI_STR_INIT("\" requires an admin API key"),
        PERI_STR_INIT("Unable to validate request against PubKey"),
        PERI_STR_INIT("participant request budget exhausted"),
        PERI_STR_INIT("rejected by the Gonka network"),
    };
    static const struct peri_gonka_advice unknown = { PERI_GONKA_ACT_NONE, "gonka_unknown",
                                                      "No server of the network is known by it." };
    if (body.n > BODY_LOOKED_AT) body.n = BODY_LOOKED_AT;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
        if (has_words(body, telling[i])) return peri_gonka_diagnose(status, body);
    return unknown;
}

const char *peri_gonka_action_name(enum peri_gonka_action action) {
    static const char *const names[] = { "none",        "client",      "resign",
                                         "next",        "cool",        "drop_endpoint",
                                         "drop_model",  "drop_wallet", "drop_network",
                                         "resync_clock" };
    return names[action];
}
