#include "gonka/chain/gonka_epoch.h"

#include "crypto/test_vectors.h"
#include "gonka/chain/gonka_discovery.h"

#define DATA "../shared/data/gonka/"
#define A1   "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6"
#define A2   "gonka1q6hag67dl53wl99vzg42z8eyzfz2xlkvqkpz3w"

#define STAGES                                                                                     \
    "\"epoch_stages\":{\"epoch_index\":360,\"poc_start\":1000,\"poc_generation_wind_down\":1028,"  \
    "\"poc_generation_end\":1035,\"poc_validation_start\":1040,\"poc_validation_wind_down\":1232," \
    "\"poc_validation_end\":1280,\"set_new_validators\":1400,\"next_poc_start\":16391}"

static struct peri_gonka_epoch read_epoch(const char *text) {
    struct peri_gonka_epoch e;
    struct peri_fault fault = { PERI_OK, "" };
    CHECK_EQ(peri_gonka_epoch_read(&e, peri_str_of(text), &fault), PERI_OK);
    CHECK_STR(peri_str_of(fault.text), "");
    return e;
}

TEST(epoch_reads_numbers_and_strings_alike) {
    static const char *const texts[] = {
        "{\"block_height\":1010,\"latest_epoch\":{\"index\":360,\"poc_start_block_height\":1000},"
        "\"phase\":"
        "\"PoCGenerate\"," STAGES ",\"epoch_params\":{\"epoch_length\":15391}}",
        "{\"block_height\":\"1010\",\"latest_epoch\":{\"index\":\"360\",\"poc_start_block_height\":"
        "\"1000\"},\"phase\":"
        "\"PoCGenerate\"," STAGES
        ",\"epoch_params\":{\"epoch_params\":{\"epoch_length\":\"15391\"}},"
        "\"is_confirmation_poc_active\":false}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct peri_gonka_epoch e = read_epoch(texts[i]);
        CHECK_EQ(e.index, 360);
        CHECK_EQ(e.height, 1010);
        CHECK_EQ(e.phase, PERI_GONKA_PHASE_POC_GENERATE);
        CHECK_EQ(e.stages.next_poc_start, 16391);
        CHECK_EQ(e.length, 15391);
        CHECK(!e.has_confirmation);
        CHECK_EQ(peri_gonka_service(&e), PERI_GONKA_SERVES_PRESERVED);
        CHECK_EQ(e.stages.validation_end, 1280);
    }
}

TEST(epoch_says_what_is_missing) {
    struct peri_gonka_epoch e;
    struct peri_fault fault = { PERI_OK, "" };
    CHECK_EQ(peri_gonka_epoch_read(&e, PERI_STR("{}"), &fault), PERI_EMALFORMED);
    CHECK(strstr(fault.text, "latest_epoch") != NULL);
    CHECK_EQ(peri_gonka_epoch_read(&e, PERI_STR("{\"latest_epoch\":{}}"), &fault), PERI_EMALFORMED);
    CHECK(strstr(fault.text, "block_height") != NULL);
    CHECK_EQ(peri_gonka_epoch_read(&e, PERI_STR("<html>"), &fault), PERI_EMALFORMED);
    CHECK_EQ(peri_gonka_epoch_read(&e, PERI_STR("[]"), NULL), PERI_EMALFORMED);
}

/* Every boundary of the chain's own rule, one block before and at it. */
TEST(epoch_computes_the_phase_of_any_height) {
    static const struct {
        int64_t height;
        enum peri_gonka_phase phase;
    } cases[] = { { 999, PERI_GONKA_PHASE_INFERENCE },
                  { 1000, PERI_GONKA_PHASE_POC_GENERATE },
                  { 1027, PERI_GONKA_PHASE_POC_GENERATE },
                  { 1028, PERI_GONKA_PHASE_POC_GENERATE_WIND_DOWN },
                  { 1039, PERI_GONKA_PHASE_POC_GENERATE_WIND_DOWN },
                  { 1040, PERI_GONKA_PHASE_POC_VALIDATE },
                  { 1231, PERI_GONKA_PHASE_POC_VALIDATE },
                  { 1232, PERI_GONKA_PHASE_POC_VALIDATE_WIND_DOWN },
                  { 1279, PERI_GONKA_PHASE_POC_VALIDATE_WIND_DOWN },
                  { 1280, PERI_GONKA_PHASE_INFERENCE } };
    struct peri_gonka_epoch e =
        read_epoch("{\"block_height\":1,\"latest_epoch\":{\"index\":360}," STAGES "}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[800];
        CHECK_EQ(peri_gonka_phase_at(&e.stages, cases[i].height), cases[i].phase);
        /* Without a phase in the answer, the same comes from its height. */
        snprintf(text, sizeof text,
                 "{\"block_height\":%lld,\"latest_epoch\":{\"index\":360}," STAGES "}",
                 (long long)cases[i].height);
        CHECK_EQ(read_epoch(text).phase, cases[i].phase);
        CHECK(strlen(peri_gonka_phase_name(cases[i].phase)) > 5);
    }
    e.stages.poc_start = 0;
    CHECK_EQ(peri_gonka_phase_at(&e.stages, 5), PERI_GONKA_PHASE_INFERENCE);
}

static struct peri_gonka_epoch confirmation(const char *phase) {
    char text[1200];
    snprintf(
        text, sizeof text,
        "{\"block_height\":5000,\"latest_epoch\":{\"index\":360},\"phase\":\"Inference\"," STAGES
        ",\"is_confirmation_poc_active\":true,\"active_confirmation_poc_event\":{"
        "\"trigger_height\":\"4990\",\"generation_start_height\":\"5010\",\"phase\":%s}}",
        phase);
    return read_epoch(text);
}

TEST(epoch_knows_confirmations_by_number_and_by_name) {
    static const struct {
        const char *text;
        enum peri_gonka_confirmation phase;
        enum peri_gonka_service service;
    } cases[] = {
        { "1", PERI_GONKA_CONFIRMATION_GRACE, PERI_GONKA_SERVES_ALL },
        { "2", PERI_GONKA_CONFIRMATION_GENERATION, PERI_GONKA_SERVES_PRESERVED },
        { "3", PERI_GONKA_CONFIRMATION_VALIDATION, PERI_GONKA_SERVES_SOME },
        { "4", PERI_GONKA_CONFIRMATION_COMPLETED, PERI_GONKA_SERVES_ALL },
        { "\"CONFIRMATION_POC_GRACE_PERIOD\"", PERI_GONKA_CONFIRMATION_GRACE,
          PERI_GONKA_SERVES_ALL },
        { "\"CONFIRMATION_POC_GENERATION\"", PERI_GONKA_CONFIRMATION_GENERATION,
          PERI_GONKA_SERVES_PRESERVED },
        { "\"CONFIRMATION_POC_VALIDATION\"", PERI_GONKA_CONFIRMATION_VALIDATION,
          PERI_GONKA_SERVES_SOME },
        { "\"CONFIRMATION_POC_COMPLETED\"", PERI_GONKA_CONFIRMATION_COMPLETED,
          PERI_GONKA_SERVES_ALL },
        { "\"CONFIRMATION_POC_INACTIVE\"", PERI_GONKA_CONFIRMATION_NONE, PERI_GONKA_SERVES_ALL },
        { "99", PERI_GONKA_CONFIRMATION_NONE, PERI_GONKA_SERVES_ALL },
        { "null", PERI_GONKA_CONFIRMATION_NONE, PERI_GONKA_SERVES_ALL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peri_gonka_epoch e = confirmation(cases[i].text);
        CHECK(e.has_confirmation);
        CHECK_EQ(e.confirmation, cases[i].phase);
        CHECK_EQ(peri_gonka_service(&e), cases[i].service);
        CHECK_EQ(e.confirmation_trigger, 4990);
        CHECK_EQ(peri_gonka_window(&e), cases[i].service == PERI_GONKA_SERVES_ALL ? 0 : 4990);
    }
}

static struct peri_gonka_set *two_hosts(void) {
    struct peri_gonka_set *set = NULL;
    CHECK_EQ(peri_gonka_set_read(
                 &set,
                 PERI_STR("{\"active_participants\":{\"participants\":["
                          "{\"index\":\"" A1 "\",\"inference_url\":\"http://1.2.3.1\",\"weight\":1,"
                          "\"models\":[\"m\",\"n\"],\"ml_nodes\":[{\"ml_nodes\":[{"
                          "\"timeslot_allocation\":[true,true]}]}]},"
                          "{\"index\":\"" A2 "\",\"inference_url\":\"http://1.2.3.2\",\"weight\":1,"
                          "\"models\":[\"m\"]}]}}"),
                 NULL),
             PERI_OK);
    CHECK_EQ(peri_gonka_set_apply(set, &(struct peri_gonka_rules){ 0 }), PERI_OK);
    return set;
}

#define SNAPSHOT(anchor)                                                                           \
    "{\"snapshot\":{\"episode_anchor_height\":\"" anchor "\",\"model_preserved_nodes\":["          \
    "{\"model_id\":\"m\",\"participants\":[{\"participant_id\":\"" A2                              \
    "\",\"node_ids\":[\"x\"]},{\"participant_id\":\"" A1 "\",\"node_ids\":[]},"                    \
    "{\"participant_id\":\"gonka1nobody\",\"node_ids\":[\"y\"]}]},"                                \
    "{\"model_id\":\"other\",\"participants\":[{\"participant_id\":\"" A1                          \
    "\",\"node_ids\":[\"x\"]}]}]},\"found\":true}"

static bool is_preserved(const struct peri_gonka_participant *p, const char *model) {
    for (size_t i = 0; i < p->model_count; i++)
        if (peri_str_eq(p->models[i].id, peri_str_of(model))) return p->models[i].is_preserved;
    return false;
}

static bool snapshot(struct peri_gonka_set *set, const struct peri_gonka_epoch *e,
                     const char *text) {
    bool applies = true;
    CHECK_EQ(peri_gonka_preserved_apply(&applies, set, e, peri_str_of(text), NULL), PERI_OK);
    return applies;
}

TEST(epoch_takes_the_snapshot_of_its_own_window_only) {
    struct peri_gonka_set *set = two_hosts();
    const struct peri_gonka_participant *p = set->participants;
    struct peri_gonka_epoch proofs =
        read_epoch("{\"block_height\":1010,\"latest_epoch\":{\"index\":360}," STAGES "}");
    struct peri_gonka_epoch confirm = confirmation("2");
    CHECK(is_preserved(&p[0], "m"));
    CHECK(!snapshot(set, &proofs, SNAPSHOT("999")));
    CHECK(!snapshot(set, &proofs, SNAPSHOT("4990")));
    CHECK(!snapshot(set, &confirm, SNAPSHOT("1000")));
    CHECK(!snapshot(set, &proofs, "{\"found\":false}"));
    CHECK(!snapshot(set, &proofs, "{}"));
    CHECK(is_preserved(&p[0], "m"));
    CHECK(snapshot(set, &proofs, SNAPSHOT("1000")));
    CHECK(!is_preserved(&p[0], "m"));
    CHECK(!is_preserved(&p[0], "n"));
    CHECK(is_preserved(&p[1], "m"));
    CHECK(snapshot(set, &confirm, SNAPSHOT("4990")));
    CHECK_EQ(peri_gonka_window(&proofs), 1000);
    CHECK_EQ(peri_gonka_window(&confirm), 4990);
    struct peri_gonka_epoch grace = confirmation("1");
    CHECK_EQ(peri_gonka_window(&grace), 0);
    CHECK(!snapshot(set, &grace, SNAPSHOT("4990")));
    peri_gonka_preserved_forget(set); /* as the list had it */
    CHECK(is_preserved(&p[0], "m"));
    CHECK(!is_preserved(&p[1], "m"));
    bool applies = true;
    CHECK_EQ(peri_gonka_preserved_apply(&applies, set, &proofs, PERI_STR("[]"), NULL),
             PERI_EMALFORMED);
    CHECK(!applies);
    peri_gonka_set_free(set);
}

TEST(epoch_survives_failing_allocations) {
    struct peri_gonka_set *set = two_hosts();
    struct peri_gonka_epoch proofs =
        read_epoch("{\"block_height\":1010,\"latest_epoch\":{\"index\":360}," STAGES "}");
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_gonka_epoch e;
        bool applies;
        enum peri_err err =
            peri_gonka_epoch_read(&e, PERI_STR("{\"block_height\":1,\"latest_epoch\":{}}"), NULL);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        err = peri_gonka_preserved_apply(&applies, set, &proofs, PERI_STR(SNAPSHOT("1000")), NULL);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
    }
    peri_gonka_set_free(set);
}

static bool read_file(struct peri_gonka_epoch *e, const char *path) {
    struct vectors v;
    if (!vectors_open(&v, path)) return false;
    *e = read_epoch(v.text);
    vectors_close(&v);
    return true;
}

TEST(epoch_reads_the_servers_answers) {
    struct peri_gonka_epoch e;
    if (!read_file(&e, DATA "epochs-latest-v0.2.14-inference.synthetic.json")) return;
    CHECK_EQ(peri_gonka_service(&e), PERI_GONKA_SERVES_ALL);
    CHECK_EQ(e.length, 15391);
    CHECK_EQ(e.phase, peri_gonka_phase_at(&e.stages, e.height));
    CHECK(read_file(&e, DATA "epochs-latest-v0.2.14-poc-generate.synthetic.json"));
    CHECK_EQ(peri_gonka_service(&e), PERI_GONKA_SERVES_PRESERVED);
    CHECK_EQ(e.phase, peri_gonka_phase_at(&e.stages, e.height));
    CHECK_EQ(peri_gonka_window(&e), e.stages.poc_start);
    CHECK(read_file(&e, DATA "epochs-latest-v0.2.14-confirmation-poc-grace.synthetic.json"));
    CHECK_EQ(e.confirmation, PERI_GONKA_CONFIRMATION_GRACE);
    CHECK_EQ(peri_gonka_service(&e), PERI_GONKA_SERVES_ALL);
    CHECK(read_file(&e, DATA "epochs-latest-v0.2.15-confirmation-poc.synthetic.json"));
    CHECK_EQ(e.confirmation, PERI_GONKA_CONFIRMATION_GENERATION);
    CHECK_EQ(e.confirmation_trigger, 5561000);
    CHECK_EQ(e.length, 15391);
    CHECK_EQ(e.next.poc_start, 5567506);
    CHECK_EQ(peri_gonka_service(&e), PERI_GONKA_SERVES_PRESERVED);
}

TEST(epoch_does_not_count_with_absurd_heights) {
    struct peri_gonka_epoch e = read_epoch(
        "{\"block_height\":5,\"latest_epoch\":{},\"phase\":\"PoCValidate\",\"epoch_stages\":{\"poc_"
        "start\":"
        "-9223372036854775807,\"poc_validation_end\":9223372036854775807,\"next_poc_start\":"
        "9223372036854775807},\"is_confirmation_poc_active\":true,\"active_confirmation_poc_"
        "event\":{"
        "\"phase\":2,\"generation_start_height\":9223372036854775807}}");
    CHECK_EQ(e.stages.poc_start, 0);
    CHECK_EQ(peri_gonka_window(&e), 0);
    CHECK_EQ(e.length, 0);
    struct peri_gonka_epoch never;
    CHECK_EQ(
        peri_gonka_epoch_read(&never, PERI_STR("{\"block_height\":-5,\"latest_epoch\":{}}"), NULL),
        PERI_EMALFORMED);
}
