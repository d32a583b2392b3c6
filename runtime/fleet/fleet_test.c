#include "fleet/fleet.h"

#include "base/test.h"
#include "fleet/route.h"

static struct peri_config_model big[] = {
    { .name = PERI_STR_INIT("Big"), .upstream = PERI_STR_INIT("vendor/big") },
};

/* a and b serve Big, c (a tier below) everything. */
static struct peri_config_provider plain[] = {
    { .id = PERI_STR_INIT("c"),
      .url = PERI_STR_INIT("http://127.0.0.1:3/v1"),
      .tier = 2,
      .weight = 1 },
    { .id = PERI_STR_INIT("a"),
      .url = PERI_STR_INIT("http://127.0.0.1:1/v1"),
      .tier = 1,
      .weight = 3,
      .models = big,
      .model_count = 1 },
    { .id = PERI_STR_INIT("b"),
      .url = PERI_STR_INIT("http://127.0.0.1:2/v1"),
      .tier = 1,
      .weight = 1,
      .models = big,
      .model_count = 1 },
};
static const struct peri_config_alias aliases[] = {
    { PERI_STR_INIT("gpt-4"), PERI_STR_INIT("Big") },
    { PERI_STR_INIT("gpt-3"), PERI_STR_INIT("unlisted") },
};

struct rig {
    struct peri_vitals_table *vitals;
    struct peri_config *config;
    struct peri_fleet *fleet;
    struct peri_fault fault;
    struct peri_rand rand;
};

static void rig_open(struct rig *r) {
    *r = (struct rig){ .fleet = NULL };
    peri_rand_seed(&r->rand, 7);
    if (peri_vitals_table_new(&r->vitals) != PERI_OK) abort();
    r->config = peri_config_new();
    if (r->config == NULL) abort();
    r->config->providers = plain;
    r->config->provider_count = 3;
    r->config->aliases = aliases;
    r->config->alias_count = 2;
}

static enum peri_err rig_build(struct rig *r, const struct peri_fleet_host *hosts, size_t count) {
    return peri_fleet_new(&r->fleet, r->config, hosts, count, NULL, r->vitals, 1, &r->fault);
}

static void rig_close(struct rig *r) {
    peri_fleet_unref(r->fleet);
    peri_config_unref(r->config);
    peri_vitals_table_free(r->vitals);
}

TEST(fleet_candidates_stand_in_tier_order) {
    struct rig r;
    rig_open(&r);
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    struct peri_candidates c = peri_fleet_find(r.fleet, PERI_STR("Big"));
    CHECK_EQ(c.count, 3);
    CHECK_STR(c.at[0].provider->id, "a");
    CHECK_STR(c.at[0].upstream, "vendor/big");
    CHECK_STR(c.at[1].provider->id, "b");
    CHECK_STR(c.at[2].provider->id, "c");
    CHECK_EQ(c.at[2].upstream.n, 0);
    rig_close(&r);
}

TEST(fleet_puts_hosts_behind_every_tier_for_the_models_they_serve_little) {
    struct rig r;
    rig_open(&r);
    const struct peri_str models[] = { PERI_STR_INIT("Big"), PERI_STR_INIT("small") };
    const bool reduced[] = { true, false };
    struct peri_fleet_host hosts[] = {
        { .of = &(struct peri_config_provider){ .id = PERI_STR_INIT("g"), .tier = 1, .weight = 1 },
          .id = PERI_STR("h"),
          .url = PERI_STR("http://10.0.0.1"),
          .models = models,
          .model_count = 2,
          .share = 1,
          .reduced = reduced },
    };
    CHECK_EQ(rig_build(&r, hosts, 1), PERI_OK);
    struct peri_candidates c = peri_fleet_find(r.fleet, PERI_STR("Big"));
    CHECK_EQ(c.count, 4);
    CHECK_STR(c.at[2].provider->id, "c"); /* of tier 2 */
    CHECK_STR(c.at[3].provider->id, "h");
    CHECK(c.at[3].is_reduced && !c.at[2].is_reduced);
    c = peri_fleet_find(r.fleet, PERI_STR("small"));
    CHECK_EQ(c.count, 2);
    CHECK_STR(c.at[0].provider->id, "h");
    CHECK(!c.at[0].is_reduced);
    rig_close(&r);
}

TEST(fleet_finds_names_without_case_by_alias_and_by_whoever_takes_all) {
    struct rig r;
    rig_open(&r);
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    CHECK_STR(peri_fleet_find(r.fleet, PERI_STR("bIG")).model, "Big");
    CHECK_STR(peri_fleet_find(r.fleet, PERI_STR("gpt-4")).model, "Big");
    CHECK_STR(peri_fleet_find(r.fleet, PERI_STR("GPT-4")).model, "Big");
    struct peri_candidates any = peri_fleet_find(r.fleet, PERI_STR("else"));
    CHECK_EQ(any.count, 1);
    CHECK_EQ(any.model.n, 0);
    any = peri_fleet_find(r.fleet, PERI_STR("gpt-3")); /* goes under the name it stands for */
    CHECK_EQ(any.count, 1);
    CHECK_STR(any.model, "unlisted");
    const struct peri_provider *a = peri_fleet_provider(r.fleet, PERI_STR("a"));
    CHECK(peri_fleet_candidate(r.fleet, a, PERI_STR("else")).provider == NULL);
    CHECK(peri_fleet_candidate(r.fleet, a, PERI_STR("big")).provider == a);
    rig_close(&r);
}

/* Three brokers and their spellings of one model. */
static struct peri_config_model lower_kimi[] = {
    { .name = PERI_STR_INIT("moonshotai/kimi-k2.6"),
      .upstream = PERI_STR_INIT("moonshotai/kimi-k2.6") },
};
static struct peri_config_model upper_kimi[] = {
    { .name = PERI_STR_INIT("moonshotai/Kimi-K2.6"),
      .upstream = PERI_STR_INIT("moonshotai/Kimi-K2.6") },
};
static struct peri_config_model both_kimi[] = {
    { .name = PERI_STR_INIT("moonshotai/KIMI-K2.6"), .upstream = PERI_STR_INIT("loud") },
    { .name = PERI_STR_INIT("moonshotai/Kimi-K2.6"), .upstream = PERI_STR_INIT("plain") },
};
static struct peri_config_provider brokers[] = {
    { .id = PERI_STR_INIT("a"),
      .url = PERI_STR_INIT("http://127.0.0.1:1/v1"),
      .tier = 1,
      .weight = 1,
      .models = lower_kimi,
      .model_count = 1 },
    { .id = PERI_STR_INIT("b"),
      .url = PERI_STR_INIT("http://127.0.0.1:2/v1"),
      .tier = 1,
      .weight = 1,
      .models = upper_kimi,
      .model_count = 1 },
    { .id = PERI_STR_INIT("c"),
      .url = PERI_STR_INIT("http://127.0.0.1:3/v1"),
      .tier = 1,
      .weight = 1,
      .models = both_kimi,
      .model_count = 2 },
};

TEST(fleet_takes_spellings_in_different_case_for_one_model) {
    struct rig r;
    rig_open(&r);
    r.config->providers = brokers;
    r.config->provider_count = 2;
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    CHECK_EQ(r.fleet->model_count, 1);
    CHECK_STR(r.fleet->models[0], "moonshotai/kimi-k2.6"); /* mentioned first */
    static const char *const asked[] = { "moonshotai/kimi-k2.6", "moonshotai/Kimi-K2.6",
                                         "MOONSHOTAI/KIMI-K2.6" };
    for (size_t i = 0; i < 3; i++) {
        struct peri_candidates c = peri_fleet_find(r.fleet, peri_str_of(asked[i]));
        CHECK_EQ(c.count, 2);
        CHECK_STR(c.model, "moonshotai/kimi-k2.6");
        CHECK_STR(c.at[0].upstream, "moonshotai/kimi-k2.6");
        CHECK_STR(c.at[1].upstream, "moonshotai/Kimi-K2.6");
    }
    rig_close(&r);
}

TEST(fleet_keeps_models_apart_that_one_provider_spells_apart) {
    struct rig r;
    rig_open(&r);
    r.config->providers = brokers;
    r.config->provider_count = 3;
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    CHECK_EQ(r.fleet->model_count, 3);
    struct peri_candidates c = peri_fleet_find(r.fleet, PERI_STR("moonshotai/Kimi-K2.6"));
    CHECK_EQ(c.count, 3);
    CHECK_STR(c.at[0].upstream, "moonshotai/kimi-k2.6");
    CHECK_STR(c.at[2].upstream, "plain");
    c = peri_fleet_find(r.fleet, PERI_STR("moonshotai/KIMI-K2.6"));
    CHECK_EQ(c.count, 3);
    CHECK_STR(c.model, "moonshotai/KIMI-K2.6");
    CHECK_STR(c.at[2].upstream, "loud");
    rig_close(&r);
}

TEST(fleet_sends_a_host_its_own_spelling) {
    struct rig r;
    rig_open(&r);
    struct peri_config_provider network = brokers[0];
    network.network = PERI_STR("gonka");
    struct peri_str listed[] = { PERI_STR("other"), PERI_STR("moonshotai/Kimi-K2.6") };
    struct peri_fleet_host hosts[] = {
        { .of = &network,
          .id = PERI_STR("h1"),
          .url = PERI_STR("http://10.0.0.1"),
          .models = listed,
          .model_count = 2,
          .share = 1 },
        { .of = &network, /* has nothing that is offered */
          .id = PERI_STR("h2"),
          .url = PERI_STR("http://10.0.0.2"),
          .models = listed,
          .model_count = 1,
          .share = 1 },
    };
    r.config->provider_count = 0;
    CHECK_EQ(rig_build(&r, hosts, 2), PERI_OK);
    struct peri_candidates c = peri_fleet_find(r.fleet, PERI_STR("moonshotai/kimi-k2.6"));
    CHECK_EQ(c.count, 1);
    CHECK_STR(c.at[0].upstream, "moonshotai/Kimi-K2.6");
    rig_close(&r);
}

TEST(fleet_refuses_two_providers_of_one_id) {
    struct rig r;
    rig_open(&r);
    struct peri_config_provider twice[] = { plain[0], plain[0] };
    r.config->providers = twice;
    r.config->provider_count = 2;
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_ECONFIG);
    CHECK(strstr(r.fault.text, "'c'") != NULL);
    rig_close(&r);
}

TEST(fleet_leaves_out_hosts_that_can_not_be_used) {
    struct rig r;
    rig_open(&r);
    struct peri_fleet_host hosts[] = {
        { .of = &plain[0], .id = PERI_STR("h1"), .url = PERI_STR("http://[broken"), .share = 1 },
        { .of = &plain[0], .id = PERI_STR("a"), .url = PERI_STR("http://10.0.0.1"), .share = 1 },
        { .of = &plain[0], .id = PERI_STR("h3"), .url = PERI_STR("http://10.0.0.2"), .share = 1 },
    };
    CHECK_EQ(rig_build(&r, hosts, 3), PERI_OK);
    CHECK_EQ(r.fleet->provider_count, 4);
    struct peri_candidates c = peri_fleet_find(r.fleet, PERI_STR("x"));
    CHECK_EQ(c.count, 2);
    for (size_t i = 0; i < c.count; i++) {
        CHECK(c.at[i].provider->vitals != NULL);
        CHECK(c.at[i].provider == &r.fleet->providers[c.at[i].provider->index]);
    }
    CHECK_STR(peri_fleet_provider(r.fleet, PERI_STR("a"))->url, "http://127.0.0.1:1/v1");
    rig_close(&r);
}

/* ---- What providers say they serve ---- */

static struct peri_model_list *list_of(const char *text) {
    struct peri_model_list *l;
    if (peri_model_list_read(&l, peri_str_of(text), NULL) != PERI_OK) abort();
    return l;
}

/* a has one model configured, c none. */
static const char said_by_a[] =
    "[{\"id\":\"Vendor/Big\",\"context_length\":9,\"supports_vision\":false},{\"id\":\"more\"}]";
static const char said_by_c[] = "[{\"id\":\"small\",\"max_model_len\":5},{\"id\":\"big\"}]";

TEST(fleet_serves_what_a_provider_says_it_serves) {
    struct rig r;
    rig_open(&r);
    struct peri_model_list *lists[3] = { list_of(said_by_c), list_of(said_by_a), NULL };
    CHECK_EQ(peri_fleet_new(&r.fleet, r.config, NULL, 0, lists, r.vitals, 1, &r.fault), PERI_OK);
    for (size_t i = 0; i < 3; i++) peri_model_list_unref(lists[i]); /* the fleet holds them */
    CHECK_EQ(r.fleet->model_count, 2);
    CHECK_STR(r.fleet->models[0], "small");
    CHECK_STR(r.fleet->models[1], "big");
    struct peri_candidates c = peri_fleet_find(r.fleet, PERI_STR("Big"));
    CHECK_EQ(c.count, 3);
    CHECK(c.has_limits);
    CHECK_STR(c.at[0].upstream, "Vendor/Big"); /* its own spelling of what is configured */
    CHECK_EQ(c.at[0].model->context_tokens, 9);
    CHECK(c.at[0].model->lacks != 0);
    CHECK_STR(c.at[1].upstream, "vendor/big"); /* b said nothing */
    CHECK_EQ(c.at[1].model->context_tokens, 0);
    CHECK_STR(c.at[2].upstream, "big");
    CHECK_EQ(peri_fleet_find(r.fleet, PERI_STR("more")).count, 0); /* not configured: not served */
    CHECK_EQ(peri_fleet_find(r.fleet, PERI_STR("else")).count, 0); /* c takes its own only */
    rig_close(&r);
}

TEST(fleet_of_lists_out_of_memory_is_an_error_and_nothing_leaks) {
    struct rig r;
    rig_open(&r);
    struct peri_model_list *lists[3] = { list_of(said_by_c), list_of(said_by_a), NULL };
    TEST_EACH_FAILING_ALLOCATION {
        enum peri_err err =
            peri_fleet_new(&r.fleet, r.config, NULL, 0, lists, r.vitals, 1, &r.fault);
        if (err == PERI_OK) {
            peri_fleet_unref(r.fleet);
            r.fleet = NULL;
        } else {
            CHECK_EQ(err, PERI_ENOMEM);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(atomic_load(&lists[i]->refs), 1);
        peri_model_list_unref(lists[i]);
    }
    rig_close(&r);
}

TEST(fleet_out_of_memory_is_an_error_and_nothing_leaks) {
    struct rig r;
    rig_open(&r);
    struct peri_fleet_host host = {
        .of = &plain[0], .id = PERI_STR("h"), .url = PERI_STR("http://10.0.0.2"), .share = 1
    };
    struct peri_config_number limit = { .name = PERI_STR("Big"), .value = 1 };
    struct peri_str model = PERI_STR("big");
    host.models = &model;
    host.model_count = host.limit_count = 1;
    host.limits = &limit;
    TEST_EACH_FAILING_ALLOCATION {
        enum peri_err err = rig_build(&r, &host, 1);
        if (err == PERI_OK) {
            peri_fleet_unref(r.fleet);
            r.fleet = NULL;
        } else {
            CHECK(err == PERI_ENOMEM || err == PERI_ECONFIG || err == PERI_EINVAL);
        }
    }
    rig_close(&r);
}

/* ---- The choice among them ---- */

static struct peri_candidate pick_candidate(struct rig *r, const bool *tried, bool overflow,
                                            bool may_disturb, struct peri_route_report *report) {
    struct peri_route_ask ask = {
        .from = peri_fleet_find(r->fleet, PERI_STR("Big")),
        .model = PERI_STR("Big"),
        .tried = tried,
        .overflow = overflow,
        .may_disturb = may_disturb,
        .now_ms = 1000,
    };
    return peri_route_pick(&ask, &r->rand, report);
}

static const char *pick(struct rig *r, const bool *tried, bool overflow,
                        struct peri_route_report *report) {
    struct peri_candidate c = pick_candidate(r, tried, overflow, false, report);
    return c.provider == NULL ? "nobody" : c.provider->id.p;
}

static void rest(struct peri_breaker *b, enum peri_err reason, uint64_t ms) {
    struct peri_breaker_failure f = { .reason = reason, .now_ms = 1000 };
    peri_breaker_open(b, &f, ms);
}

static struct peri_vitals *vitals_of(struct rig *r, const char *id) {
    return peri_fleet_provider(r->fleet, peri_str_of(id))->vitals;
}

static bool *mark(struct rig *r, bool *tried, const char *id) {
    tried[peri_fleet_provider(r->fleet, peri_str_of(id))->index] = true;
    return tried;
}

TEST(route_draws_by_weight_within_the_first_tier) {
    struct rig r;
    rig_open(&r);
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    int a = 0, b = 0;
    for (int i = 0; i < 40000; i++) {
        const char *id = pick(&r, NULL, true, NULL);
        a += *id == 'a';
        b += *id == 'b';
    }
    CHECK_EQ(a + b, 40000);
    CHECK(a > 29600 && a < 30400); /* 3 of 4; one standard deviation is 87 */
    rig_close(&r);
}

TEST(route_goes_down_a_tier_when_nobody_above_is_left) {
    struct rig r;
    struct peri_route_report report;
    bool tried[3] = { false };
    rig_open(&r);
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    CHECK_STR(peri_str_of(pick(&r, mark(&r, tried, "a"), true, NULL)), "b");
    rest(&vitals_of(&r, "b")->breaker, PERI_ERATELIMIT, 300);
    CHECK_STR(peri_str_of(pick(&r, tried, true, NULL)), "c");
    CHECK_STR(peri_str_of(pick(&r, mark(&r, tried, "c"), true, &report)), "nobody");
    CHECK_EQ(report.candidates, 3);
    CHECK_EQ(report.tried, 2);
    CHECK_EQ(report.resting, 1);
    CHECK_EQ(report.rate_limited, 1);
    CHECK_EQ(report.wait_ms, 300);
    rig_close(&r);
}

TEST(route_overflows_to_the_next_tier_only_when_told_to) {
    struct rig r;
    struct peri_route_report report;
    rig_open(&r);
    struct peri_config_provider narrow[] = { plain[0], plain[1] };
    narrow[1].max_concurrent = 1;
    r.config->providers = narrow;
    r.config->provider_count = 2;
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    CHECK(peri_vitals_take(vitals_of(&r, "a"), 1));
    CHECK_STR(peri_str_of(pick(&r, NULL, true, NULL)), "c");
    CHECK_STR(peri_str_of(pick(&r, NULL, false, &report)), "nobody");
    CHECK_EQ(report.full, 1);
    peri_vitals_release(vitals_of(&r, "a"));
    CHECK_STR(peri_str_of(pick(&r, NULL, false, NULL)), "a");
    rig_close(&r);
}

TEST(route_asks_the_one_that_is_due_first_when_all_rest) {
    struct rig r;
    struct peri_route_report report;
    bool tried[3] = { false };
    rig_open(&r);
    CHECK_EQ(rig_build(&r, NULL, 0), PERI_OK);
    rest(&vitals_of(&r, "a")->breaker, PERI_EUPSTREAM, 500);
    rest(&vitals_of(&r, "b")->endpoints[PERI_DIALECT_CHAT], PERI_ENOTFOUND, 400);
    struct peri_candidate c = pick_candidate(&r, NULL, true, true, &report);
    CHECK_STR(c.provider->id, "c"); /* one that does not rest */
    CHECK(!c.is_last);
    rest(peri_vitals_make_model(vitals_of(&r, "c"), PERI_STR("Big"), PERI_DIALECT_CHAT),
         PERI_ENOMODEL, 600);
    CHECK_STR(peri_str_of(pick(&r, NULL, true, &report)), "nobody");
    CHECK_EQ(report.resting, 3);
    CHECK_EQ(report.wait_ms, 400);
    CHECK_EQ(report.scope, PERI_SCOPE_ENDPOINT);
    c = pick_candidate(&r, NULL, true, true, &report);
    CHECK_STR(c.provider->id, "b");
    CHECK(c.is_last);
    c = pick_candidate(&r, mark(&r, tried, "b"), true, true, &report);
    CHECK_STR(c.provider->id, "a");
    CHECK(pick_candidate(&r, mark(&r, mark(&r, tried, "a"), "c"), true, true, NULL).provider ==
          NULL);
    rig_close(&r);
}
