#include "gonka/gonka_diagnose.h"

#include "base/test.h"

#define E(text) "{\"error\":\"" text "\"}"

static const struct {
    int status;
    const char *body;
    enum peri_gonka_action action;
    const char *code, *remedy;
} cases[] = {
    { 200, "{}", PERI_GONKA_ACT_NONE, "gonka_ok", "answered" },
    { 410,
      "{\"error\":\"deprecated\",\"message\":\"classic inference is deprecated; use devshard\"}",
      PERI_GONKA_ACT_DROP_NETWORK, "gonka_api_closed", "broker" },
    { 410, "", PERI_GONKA_ACT_DROP_NETWORK, "gonka_api_closed", "gateway" },
    { 308, "{\"status\":\"disabled\",\"new_url\":\"x\"}", PERI_GONKA_ACT_DROP_NETWORK,
      "gonka_moved", "new_url" },
    { 403, E("Transfer Agent not allowed"), PERI_GONKA_ACT_DROP_ENDPOINT, "gonka_agent_not_allowed",
      "allowed_transfer_addresses" },
    { 403, E("inference requests are restricted until block height 2459375"),
      PERI_GONKA_ACT_DROP_NETWORK, "gonka_developers_restricted", "allowed_developer_addresses" },
    { 403, "<html>Forbidden</html>", PERI_GONKA_ACT_DROP_ENDPOINT, "gonka_forbidden", "another" },
    { 401, E("Authorization is required"), PERI_GONKA_ACT_DROP_NETWORK, "gonka_unsigned",
      "GONKA_PRIVATE_KEY" },
    { 401, E("Unable to validate request against PubKey:invalid signature"),
      PERI_GONKA_ACT_DROP_ENDPOINT, "gonka_signature_refused", "GONKA_ADDRESS" },
    { 401, E("Unable to validate request against TransferSignature:x"), PERI_GONKA_ACT_NEXT,
      "gonka_transfer_signature", "nothing" },
    { 401, "{\"error\":{\"message\":\"model \\\"x\\\" requires an API key\"}}",
      PERI_GONKA_ACT_DROP_MODEL, "gonka_model_needs_key", "key" },
    { 401, "{\"error\":{\"message\":\"model \\\"x\\\" requires an admin API key\"}}",
      PERI_GONKA_ACT_DROP_MODEL, "gonka_model_needs_admin_key", "another model" },
    { 402, E("Insufficient balance"), PERI_GONKA_ACT_DROP_WALLET, "gonka_no_balance", "Fund" },
    { 400, E("signature is too old"), PERI_GONKA_ACT_RESYNC_CLOCK, "gonka_stamp_too_old", "NTP" },
    { 400, E("signature is in the future"), PERI_GONKA_ACT_RESYNC_CLOCK, "gonka_stamp_in_future",
      "NTP" },
    { 400, E("Request timestamp is too old"), PERI_GONKA_ACT_RESYNC_CLOCK, "gonka_stamp_too_old",
      "NTP" },
    { 400, E("AuthKey has already been used for a transfer request"), PERI_GONKA_ACT_RESIGN,
      "gonka_stamp_used", "signed anew" },
    { 400, E("Prompt hash mismatch"), PERI_GONKA_ACT_NEXT, "gonka_prompt_hash", "nothing" },
    { 400, E("messages is required"), PERI_GONKA_ACT_CLIENT, "gonka_bad_request", "request" },
    { 400, E("Chat completions parameter \\\"x\\\" is currently rejected by the Gonka network."),
      PERI_GONKA_ACT_CLIENT, "gonka_parameter_rejected", "gonka_rules" },
    { 400, E("unsupported model \\\"x\\\"; supported models: y"), PERI_GONKA_ACT_DROP_MODEL,
      "gonka_model_unsupported", "case-sensitive" },
    { 404, E("model not found"), PERI_GONKA_ACT_DROP_MODEL, "gonka_no_such_model", "/v1/models" },
    { 404, E("Account not found"), PERI_GONKA_ACT_DROP_WALLET, "gonka_no_account", "private key" },
    { 404, E("Inference participant not found"), PERI_GONKA_ACT_DROP_WALLET, "gonka_no_account",
      "register" },
    { 404, E("Not Found"), PERI_GONKA_ACT_DROP_ENDPOINT, "gonka_no_such_path", "URL" },
    { 405, E("Method Not Allowed"), PERI_GONKA_ACT_DROP_ENDPOINT, "gonka_no_such_method", "URL" },
    { 409, "", PERI_GONKA_ACT_COOL, "gonka_devshard_unavailable", "by itself" },
    { 413, E("request body too large"), PERI_GONKA_ACT_CLIENT, "gonka_body_too_large", "10 MiB" },
    { 429, E("Transfer Agent capacity reached. Try another TA from x"), PERI_GONKA_ACT_COOL,
      "gonka_agent_full", "more endpoints" },
    { 429, "<html>429</html>", PERI_GONKA_ACT_COOL, "gonka_rate_limited", "Spread" },
    { 500, E("runtime error: invalid memory address or nil pointer dereference: panic"),
      PERI_GONKA_ACT_DROP_WALLET, "gonka_account_without_key", "transaction" },
    { 500, E("rpc error: code = NotFound desc = account gonka1x not found"),
      PERI_GONKA_ACT_DROP_WALLET, "gonka_no_account", "fund" },
    { 500, E("oops"), PERI_GONKA_ACT_COOL, "gonka_node_failed", "another" },
    { 503, E("no executors available for model"), PERI_GONKA_ACT_DROP_MODEL, "gonka_no_executors",
      "proof-of-compute" },
    { 503, E("devshard temporarily unavailable during PoCGenerate"), PERI_GONKA_ACT_COOL,
      "gonka_proof_window", "fallback" },
    { 503, E("model \\\"x\\\" is temporarily unavailable"), PERI_GONKA_ACT_COOL,
      "gonka_unavailable", "by itself" },
    { 503, E("unable to fetch chain params"), PERI_GONKA_ACT_COOL, "gonka_node_without_chain",
      "operator" },
    { 503, "<html>", PERI_GONKA_ACT_COOL, "gonka_unavailable", "another" },
    { 504, "", PERI_GONKA_ACT_COOL, "gonka_timeout", "size" },
    { 0, "", PERI_GONKA_ACT_COOL, "gonka_no_answer", "banned" },
    { 418, "", PERI_GONKA_ACT_CLIENT, "gonka_refused", "refuses" },
    { 599, "", PERI_GONKA_ACT_COOL, "gonka_node_failed", "another" },
};

TEST(diagnose_knows_every_answer_of_the_servers) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_gonka_advice a =
            peri_gonka_diagnose(cases[i].status, peri_str_of(cases[i].body));
        if (a.action != cases[i].action || strstr(a.sentence, cases[i].remedy) == NULL)
            fprintf(stderr, "%d %s: %s, %s\n", cases[i].status, cases[i].body,
                    peri_gonka_action_name(a.action), a.sentence);
        CHECK_EQ(a.action, cases[i].action);
        CHECK_STR(peri_str_of(a.code), cases[i].code);
        CHECK(strstr(a.sentence, cases[i].remedy) != NULL);
        CHECK(a.sentence[strlen(a.sentence) - 1] == '.');
    }
    printf("gonka: %zu answers diagnosed\n", sizeof cases / sizeof *cases);
}

TEST(diagnose_looks_at_the_front_of_a_body_only) {
    static char body[20000];
    memset(body, ' ', sizeof body);
    const char words[] = "AuthKey has already been used";
    memcpy(body + 100, words, sizeof words - 1);
    CHECK_EQ(peri_gonka_diagnose(400, (struct peri_str){ body, sizeof body }).action,
             PERI_GONKA_ACT_RESIGN);
    memset(body, ' ', sizeof body);
    memcpy(body + 10000, words, sizeof words - 1);
    CHECK_EQ(peri_gonka_diagnose(400, (struct peri_str){ body, sizeof body }).action,
             PERI_GONKA_ACT_CLIENT);
}

TEST(diagnose_names_its_actions) {
    CHECK_STR(peri_str_of(peri_gonka_action_name(PERI_GONKA_ACT_NONE)), "none");
    CHECK_STR(peri_str_of(peri_gonka_action_name(PERI_GONKA_ACT_RESYNC_CLOCK)), "resync_clock");
    CHECK_STR(peri_str_of(peri_gonka_action_name(PERI_GONKA_ACT_DROP_WALLET)), "drop_wallet");
}

TEST(gonka_knows_the_words_of_its_servers_from_those_of_others) {
    static const struct {
        int status;
        const char *body, *code;
    } told[] = {
        { 410,
          "{\"error\":\"deprecated\",\"message\":\"classic inference is deprecated; use "
          "devshard\"}",
          "gonka_api_closed" },
        { 403, E("Transfer Agent not allowed"), "gonka_agent_not_allowed" },
        { 403, E("inference requests are restricted until block height 7"),
          "gonka_developers_restricted" },
        { 401, "{\"error\":{\"message\":\"model \\\"x\\\" requires an API key\"}}",
          "gonka_model_needs_key" },
        { 308, "{\"status\":\"disabled\",\"new_url\":\"x\"}", "gonka_moved" },
        { 503, "{\"error\":{\"message\":\"devshard temporarily unavailable during PoCGenerate\"}}",
          "gonka_proof_window" },
        { 410, E("this model was retired"), "gonka_unknown" },
        { 403, "<html>Forbidden</html>", "gonka_unknown" },
        { 401, E("Incorrect API key provided."), "gonka_unknown" },
        { 402, E("Insufficient balance"), "gonka_unknown" },
        { 500, "", "gonka_unknown" },
    };
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        struct peri_gonka_advice advice =
            peri_gonka_recognise(told[i].status, peri_str_of(told[i].body));
        CHECK_STR(peri_str_of(advice.code), told[i].code);
        CHECK_EQ(advice.action == PERI_GONKA_ACT_NONE, strcmp(told[i].code, "gonka_unknown") == 0);
    }
}
