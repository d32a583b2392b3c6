#include "gonka/chain/gonka_discovery.h"

#include "crypto/test_vectors.h"
#include "gonka/chain/gonka_proto.h"

#define DATA "../shared/data/gonka/"

static struct peri_gonka_set *read_text(const char *text) {
    struct peri_gonka_set *set = NULL;
    struct peri_fault fault = { PERI_OK, "" };
    CHECK_EQ(peri_gonka_set_read(&set, peri_str_of(text), &fault), PERI_OK);
    if (set == NULL) {
        fprintf(stderr, "%s\n", fault.text);
        abort();
    }
    return set;
}

static enum peri_err refuse(const char *text, struct peri_fault *fault) {
    struct peri_gonka_set *set = NULL;
    enum peri_err err = peri_gonka_set_read(&set, peri_str_of(text), fault);
    CHECK(set == NULL);
    return err;
}

#define A1 "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
#define A2 "gonka1q6hag67dl53wl99vzg42z8eyzfz2xlkvqkpz3w"

/* The same set in the three spellings nodes have used. */
static const char *const spellings[] = {
    "{\"active_participants\":{\"participants\":[{\"index\":\"" A1
    "\",\"weight\":37778,\"inference_url\":\"http://"
    "1.2.3.4:8000\",\"models\":[\"m1\",\"m2\"],\"ml_nodes\":[{"
    "\"ml_nodes\":[{\"node_id\":\"a\",\"timeslot_allocation\":[true,false]}]},{\"ml_nodes\":[{"
    "\"node_id\":\"b\","
    "\"timeslot_allocation\":[true,true]}]}]}],\"epoch_group_id\":56,\"poc_start_block_height\":"
    "873251,"
    "\"effective_block_height\":873438,\"created_at_block_height\":873436,\"epoch_id\":56},"
    "\"block\":null}",
    "{\"active_participants\":{\"participants\":[{\"index\":\"" A1
    "\",\"weight\":\"37778\",\"inference_url\":\"http://"
    "1.2.3.4:8000\",\"models\":[\"m1\",\"m2\"],\"ml_nodes\":[{"
    "\"ml_nodes\":[{\"node_id\":\"a\",\"throughput\":\"0\",\"timeslot_allocation\":[true,false]}]},"
    "{\"ml_nodes\":[{"
    "\"node_id\":\"b\",\"timeslot_allocation\":[true,true]}]}],\"voting_powers\":[]}],\"epoch_"
    "group_id\":\"56\","
    "\"poc_start_block_height\":\"873251\",\"effective_block_height\":\"873438\",\"created_at_"
    "block_height\":"
    "\"873436\",\"epoch_id\":\"56\"},\"block\":{\"header\":{\"height\":\"873437\"}},\"excluded_"
    "participants\":[]}",
    "{\"active_participants\":{\"participants\":[{\"index\":\"" A1
    "\",\"weight\":37778,\"inference_url\":\"http:\\/\\/"
    "1.2.3.4:8000\",\"models\":[\"m1\",\"m\\u0032\"],\"ml_nodes\":"
    "[{\"ml_nodes\":[]},{\"ml_nodes\":[{\"timeslot_allocation\":[false,true]}]},{\"ml_nodes\":[]}]}"
    "],"
    "\"epoch_group_id\":56,\"poc_start_block_height\":873251,\"effective_block_height\":873438,"
    "\"created_at_block_height\":873436,\"epoch_id\":56},\"block\":[{\"header\":{}}],\"excluded_"
    "participants\":null}",
};

TEST(discovery_reads_all_spellings_alike) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct peri_gonka_set *set = read_text(spellings[i]);
        const struct peri_gonka_participant *p = &set->participants[0];
        CHECK_EQ(set->count, 1);
        CHECK_EQ(set->epoch, 56);
        CHECK_EQ(set->group, 56);
        CHECK_EQ(set->poc_start_height, 873251);
        CHECK_EQ(set->effective_height, 873438);
        CHECK_EQ(set->created_height, 873436);
        CHECK(!set->is_proven);
        CHECK_STR(p->address, A1);
        CHECK_STR(p->told_url, "http://1.2.3.4:8000");
        CHECK_EQ(p->told_weight, 37778);
        CHECK_EQ(p->model_count, 2);
        CHECK_STR(p->models[1].id, "m2");
        CHECK(!p->models[0].is_preserved && p->models[1].is_preserved);
        peri_gonka_set_free(set);
    }
}

TEST(discovery_mends_weights_and_passes_over_junk) {
    struct peri_gonka_set *set = read_text(
        "{\"active_participants\":{\"participants\":[null,7,{\"index\":\"" A1
        "\",\"inference_url\":\"http://1.2.3.4\"},{\"index\":\"" A2 "\",\"inference_url\":\"http://"
        "1.2.3.5\",\"weight\":-5,\"models\":null},{\"weight\":null},{\"weight\":\"x\"},{"
        "\"weight\":1.5,\"index\":9,\"inference_url\":null,\"models\":[1,\"\",\"m\"]}]},"
        "\"excluded_participants\":[{"
        "\"address\":\"" A2 "\",\"reason\":\"downtime\"},{\"address\":\"x\"},3]}");
    CHECK_EQ(set->count, 5);
    for (size_t i = 0; i < set->count; i++) {
        CHECK_EQ(set->participants[i].told_weight, 1);
        CHECK(set->participants[i].is_weight_guessed);
    }
    CHECK_EQ(set->participants[4].model_count, 1);
    CHECK_EQ(peri_gonka_set_apply(set, &(struct peri_gonka_rules){ 0 }), PERI_OK);
    CHECK_EQ(set->usable_count, 1);
    CHECK_EQ(set->participants[1].verdict, PERI_GONKA_EXCLUDED);
    CHECK_STR(set->participants[1].exclusion, "downtime");
    CHECK_EQ(set->participants[4].verdict, PERI_GONKA_NO_ADDRESS);
    CHECK_EQ(set->epoch, 0);
    peri_gonka_set_free(set);
}

/* One that goes through all participants for each exclusion is at it for half a minute. */
TEST(discovery_takes_long_lists_of_exclusions) {
    struct peri_buf text;
    char one[100];
    int entry;
    peri_buf_init(&text, PERI_GONKA_DOCUMENT_MAX);
    CHECK_EQ(peri_buf_add(&text, PERI_STR("{\"active_participants\":{\"participants\":[")),
             PERI_OK);
    for (int i = 0; i < PERI_GONKA_PARTICIPANTS_MAX; i++) {
        entry = snprintf(one, sizeof one, "%s{\"index\":\"%s-%d\"}", i > 0 ? "," : "",
                         i < 2 ? A1 : A2, i / 2);
        CHECK_EQ(peri_buf_add(&text, (struct peri_str){ one, (size_t)entry }), PERI_OK);
    }
    CHECK_EQ(peri_buf_add(&text, PERI_STR("]},\"excluded_participants\":[")), PERI_OK);
    for (int i = 0; i < 400000; i++)
        CHECK_EQ(peri_buf_add(&text, PERI_STR("{\"address\":\"" A1 "-x\"},")), PERI_OK);
    CHECK_EQ(peri_buf_add(&text, PERI_STR("{\"address\":\"" A1 "-0\",\"reason\":\"late\"}]}")),
             PERI_OK);
    struct peri_gonka_set *set = NULL;
    CHECK_EQ(peri_gonka_set_read(&set, peri_buf_str(&text), NULL), PERI_OK);
    CHECK_EQ(set->count, PERI_GONKA_PARTICIPANTS_MAX);
    CHECK_STR(set->participants[0].exclusion, "late");
    CHECK_STR(set->participants[1].exclusion, "late"); /* listed twice */
    CHECK(set->participants[2].exclusion.p == NULL);
    peri_gonka_set_free(set);
    peri_buf_done(&text);
}

TEST(discovery_says_what_is_missing) {
    struct peri_fault fault = { PERI_OK, "" };
    CHECK_EQ(refuse("", &fault), PERI_EMALFORMED);
    CHECK_EQ(refuse("[]", &fault), PERI_EMALFORMED);
    CHECK_EQ(refuse("<html>", &fault), PERI_EMALFORMED);
    CHECK_EQ(refuse("{}", &fault), PERI_EMALFORMED);
    CHECK(strstr(fault.text, "active_participants") != NULL);
    CHECK_EQ(refuse("{\"active_participants\":{}}", &fault), PERI_ENOTFOUND);
    CHECK_EQ(refuse("{\"active_participants\":{\"participants\":[]}}", &fault), PERI_ENOTFOUND);
    CHECK_EQ(refuse("{\"active_participants\":{\"participants\":{}}}", NULL), PERI_ENOTFOUND);
}

TEST(discovery_caps_models) {
    struct peri_buf b;
    struct peri_gonka_set *set = NULL;
    peri_buf_init(&b, 0);
    peri_buf_addf(&b, "{\"active_participants\":{\"participants\":[{\"models\":[\"m\"");
    for (int i = 0; i < PERI_GONKA_MODELS_MAX; i++) peri_buf_addf(&b, ",\"m%d\"", i);
    peri_buf_addf(&b, "]}]}}");
    CHECK_EQ(peri_gonka_set_read(&set, peri_buf_str(&b), NULL), PERI_ETOOBIG);
    peri_buf_done(&b);
}

static enum peri_err endpoints(const char *text, struct peri_fault *fault, size_t *count) {
    struct peri_gonka_set *set = NULL;
    struct peri_str list = peri_str_of(text);
    enum peri_err err = peri_gonka_set_of_endpoints(&set, &list, 1, fault);
    *count = set == NULL ? 0 : set->count;
    peri_gonka_set_free(set);
    return err;
}

TEST(endpoints_are_read_as_written) {
    const struct peri_str list[] = { PERI_STR(" https://node1.gonka.ai/v1 ; " A1
                                              " , http://127.0.0.1:9001;" A2 ","),
                                     PERI_STR(""), PERI_STR("http://1.2.3.4:8000;" A2) };
    struct peri_gonka_set *set = NULL;
    CHECK_EQ(peri_gonka_set_of_endpoints(&set, list, 3, NULL), PERI_OK);
    CHECK_EQ(set->count, 3);
    CHECK_STR(set->participants[0].address, A1);
    CHECK_STR(set->participants[0].told_url, "https://node1.gonka.ai/v1");
    CHECK_EQ(peri_gonka_set_apply(set, &(struct peri_gonka_rules){ .allows_private = true }),
             PERI_OK);
    CHECK_STR(set->participants[0].url, "https://node1.gonka.ai");
    CHECK_EQ(set->participants[1].weight, 1);
    CHECK_EQ(set->participants[2].verdict, PERI_GONKA_DUPLICATE);
    peri_gonka_set_free(set);
}

TEST(endpoints_say_what_is_wrong) {
    struct peri_fault fault = { PERI_OK, "" };
    size_t n;
    CHECK_EQ(endpoints("https://a.b", &fault, &n), PERI_EINVAL);
    CHECK(strstr(fault.text, "'https://a.b'") != NULL && strstr(fault.text, "url;address") != NULL);
    CHECK_EQ(endpoints("https://a.b;", &fault, &n), PERI_EINVAL);
    CHECK(strstr(fault.text, "address is missing") != NULL);
    CHECK_EQ(endpoints("https://a.b; ", &fault, &n), PERI_EINVAL);
    CHECK_EQ(endpoints("https://a.b;gonka1abc", &fault, &n), PERI_EINVAL);
    CHECK_EQ(endpoints("ftp://a.b;" A1, &fault, &n), PERI_EINVAL);
    CHECK_EQ(endpoints(";" A1, &fault, &n), PERI_EINVAL);
    CHECK_EQ(endpoints("https://a.b;" A1 ",nonsense", &fault, &n), PERI_EINVAL);
    CHECK_EQ(endpoints(" , ,", &fault, &n), PERI_ENOTFOUND);
    CHECK_EQ(endpoints("https://a.b;" A1 ",", &fault, &n), PERI_OK);
    CHECK_EQ(n, 1);
}

TEST(params_are_read_where_they_stand) {
    struct peri_arena a;
    struct peri_gonka_params params;
    peri_arena_init(&a, 0);
    CHECK_EQ(peri_gonka_params_read(
                 &params, &a,
                 PERI_STR("{\"params\":{\"validation_params\":{\"timestamp_expiration\":\"60\","
                          "\"timestamp_advance\":30},\"transfer_agent_access_params\":{"
                          "\"allowed_transfer_addresses\":[\"" A1 "\",5,\"" A2
                          "\"]},\"developer_access_params\":{\"until_block_height\":\"2459375\"},"
                          "\"devshard_escrow_params\":{\"devshard_requests_enabled\":true}}}"),
                 NULL),
             PERI_OK);
    CHECK_EQ(params.agent_count, 2);
    CHECK_STR(params.agents[1], A2);
    CHECK_EQ(params.stamp_expiration_s, 60);
    CHECK_EQ(params.stamp_advance_s, 30);
    CHECK_EQ(params.developers_until_height, 2459375);
    CHECK(params.has_devshard_requests);
    CHECK_EQ(params.developer_count, 0);
    CHECK_EQ(peri_gonka_params_read(&params, &a, PERI_STR("{\"params\":{}}"), NULL), PERI_OK);
    CHECK_EQ(params.agent_count, 0);
    CHECK_EQ(peri_gonka_params_read(&params, &a, PERI_STR("{}"), NULL), PERI_EMALFORMED);
    peri_arena_done(&a);
}

TEST(delegates_are_read_when_there_are_any) {
    struct peri_arena a;
    const struct peri_gonka_delegate *d;
    struct peri_str node;
    size_t n;
    peri_arena_init(&a, 0);
    CHECK_EQ(peri_gonka_delegates_read(&d, &n, &node, &a,
                                       PERI_STR("{\"data\":{\"address\":\"x\",\"delegate_ta\":{"
                                                "\"http://1.2.3.4:8000\":\"" A1
                                                "\",\"http://5\":7}},\"signature\":\"s\"}"),
                                       NULL),
             PERI_OK);
    CHECK_EQ(n, 1);
    CHECK_STR(d[0].url, "http://1.2.3.4:8000");
    CHECK_STR(d[0].address, A1);
    CHECK_STR(node, "x");
    CHECK_EQ(peri_gonka_delegates_read(&d, &n, &node, &a, PERI_STR("{\"data\":{}}"), NULL),
             PERI_OK);
    CHECK_EQ(n, 0);
    CHECK_EQ(peri_gonka_delegates_read(&d, &n, &node, &a, PERI_STR("oops"), NULL), PERI_EMALFORMED);
    peri_arena_done(&a);
}

TEST(discovery_puts_a_delegate_in_the_nodes_place) {
    static const struct peri_gonka_delegate bad[] = {
        { PERI_STR_INIT("gopher://5.6.7.8"), PERI_STR_INIT(A2) },
        { PERI_STR_INIT("http://user@5.6.7.8"), PERI_STR_INIT(A2) },
        { PERI_STR_INIT("http://169.254.169.254"), PERI_STR_INIT(A2) },
        { PERI_STR_INIT("http://10.0.0.1:8000"), PERI_STR_INIT(A2) },
        { PERI_STR_INIT("http://5.6.7.8"), PERI_STR_INIT("gonka1nobody") },
        { PERI_STR_INIT("http://5.6.7.8"), PERI_STR_INIT(A1) }, /* it is there anyway */
    };
    const size_t bad_count = sizeof bad / sizeof *bad;
    const struct peri_gonka_delegate list[] = {
        bad[0], bad[4], { PERI_STR_INIT("http://5.6.7.8:8000/v1"), PERI_STR_INIT(A2) }
    };
    struct peri_gonka_set *set =
        read_text("{\"active_participants\":{\"participants\":[{\"index\":\"" A1
                  "\",\"inference_url\":\"http://1.2.3.4\",\"weight\":7,"
                  "\"models\":[\"m\"]}]}}");
    const struct peri_gonka_participant *p = set->participants;
    CHECK(!peri_gonka_delegate_apply(set, PERI_STR(A1), bad, bad_count, false));
    CHECK(!peri_gonka_delegate_apply(set, PERI_STR(A2), list, 3, false)); /* no such node */
    CHECK(!peri_gonka_delegate_apply(set, PERI_STR(""), list, 3, false));
    CHECK(!peri_gonka_delegate_apply(set, PERI_STR(A1), list, 0, false));
    CHECK_STR(p->address, A1);
    CHECK_STR(p->told_url, "http://1.2.3.4");
    CHECK(peri_gonka_delegate_apply(set, PERI_STR(A1), list, 3, false));
    CHECK_EQ(peri_gonka_set_apply(set, &(struct peri_gonka_rules){ 0 }), PERI_OK);
    CHECK_EQ(set->usable_count, 1);
    CHECK_STR(p->address, A2);
    CHECK_STR(p->url, "http://5.6.7.8:8000");
    CHECK_EQ(p->told_weight, 7);
    CHECK_STR(p->models[0].id, "m");
    peri_gonka_set_free(set);
    set = read_text("{\"active_participants\":{\"participants\":[{\"index\":\"" A1
                    "\",\"inference_url\":\"http://1.2.3.4\"}]}}");
    CHECK(
        peri_gonka_delegate_apply(set, PERI_STR(A1), bad, bad_count, true)); /* one's own network */
    peri_gonka_set_free(set);
}

TEST(discovery_survives_failing_allocations) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_gonka_set *set = NULL;
        enum peri_err err = peri_gonka_set_read(&set, peri_str_of(spellings[0]), NULL);
        CHECK((err == PERI_OK) == (set != NULL));
        peri_gonka_set_free(set);
    }
}

/* The capture of mainnet: what the readable JSON says and what the stored bytes say must agree. */
TEST(discovery_reads_the_mainnet_capture_both_ways) {
    struct vectors v;
    struct peri_gonka_set *told = NULL, *stored = NULL;
    int64_t sum = 0;
    if (!vectors_open(&v, DATA "participants-epoch56-mainnet-20251018.json")) return;
    CHECK_EQ(peri_gonka_set_read(&told, peri_str_of(v.text), NULL), PERI_OK);
    CHECK_EQ(peri_gonka_set_decode(&stored, v_hex(&v, v.root, "active_participants_bytes"), NULL),
             PERI_OK);
    CHECK_EQ(told->count, 26);
    CHECK_EQ(stored->count, 26);
    CHECK_EQ(stored->epoch, 56);
    CHECK_EQ(stored->created_height, told->created_height);
    CHECK_EQ(stored->effective_height, told->effective_height);
    CHECK_EQ(stored->poc_start_height, told->poc_start_height);
    for (size_t i = 0; i < told->count; i++) {
        const struct peri_gonka_participant *t = &told->participants[i],
                                            *s = &stored->participants[i];
        CHECK(peri_str_eq(t->address, s->address) && peri_str_eq(t->told_url, s->told_url));
        CHECK(peri_str_eq(t->validator_key, s->validator_key));
        CHECK_EQ(t->told_weight, s->told_weight);
        CHECK_EQ(t->model_count, s->model_count);
        for (size_t k = 0; k < t->model_count; k++) {
            CHECK(peri_str_eq(t->models[k].id, s->models[k].id));
            CHECK_EQ(t->models[k].is_preserved, s->models[k].is_preserved);
        }
        sum += t->told_weight;
    }
    CHECK_EQ(sum, 307751);
    CHECK_EQ(peri_gonka_set_apply(told, &(struct peri_gonka_rules){ 0 }), PERI_OK);
    CHECK_EQ(told->usable_count, 26);
    printf("mainnet epoch 56: %zu participants, weight %lld\n", told->count, (long long)sum);
    peri_gonka_set_free(told);
    peri_gonka_set_free(stored);
    vectors_close(&v);
}

TEST(discovery_reads_the_first_format) {
    struct vectors v;
    struct peri_gonka_set *set = NULL;
    if (!vectors_open(&v, DATA "participants-docs-example-2025h1.json")) return;
    CHECK_EQ(peri_gonka_set_read(&set, peri_str_of(v.text), NULL), PERI_OK);
    CHECK_EQ(peri_gonka_set_apply(set, &(struct peri_gonka_rules){ 0 }), PERI_OK);
    /* The documentation changed cosmos1 to gonka1 by hand: the checksum is the old one's. */
    CHECK_EQ(set->participants[0].verdict, PERI_GONKA_BAD_ADDRESS);
    CHECK_EQ(set->created_height, 15);
    peri_gonka_set_free(set);
    vectors_close(&v);
}
