#include "fleet/health.h"

#include "base/test.h"

struct rig {
    struct peri_vitals_table *table;
    struct peri_config config;
    struct peri_provider p;
};

static void rig_open(struct rig *r) {
    memset(r, 0, sizeof *r);
    r->config.rate_limit_cooldown_ms = 60000;
    r->config.failure_cooldown_ms = 15000;
    r->config.quarantine_ms = 300000;
    CHECK_EQ(peri_vitals_table_new(&r->table), PERI_OK);
    r->p.vitals = peri_vitals_get(r->table, PERI_STR("a"));
}

static void rig_close(struct rig *r) {
    peri_vitals_unref(r->p.vitals);
    peri_vitals_table_free(r->table);
}

static uint64_t closed_for(const struct rig *r, uint64_t now) {
    uint64_t wait;
    return peri_vitals_admits(r->p.vitals, now, &wait) ? 0 : wait;
}

TEST(a_status_says_whose_fault_it_is) {
    static const struct {
        int status;
        enum peri_err err;
    } cases[] = {
        { 200, PERI_OK },        { 204, PERI_OK },         { 301, PERI_EUPSTREAM },
        { 400, PERI_EREJECTED }, { 401, PERI_EAUTH },      { 402, PERI_EAUTH },
        { 403, PERI_EAUTH },     { 404, PERI_EAUTH },      { 408, PERI_EUPSTREAM },
        { 409, PERI_EREJECTED }, { 410, PERI_EAUTH },      { 413, PERI_EREJECTED },
        { 422, PERI_EREJECTED }, { 429, PERI_ERATELIMIT }, { 499, PERI_EUPSTREAM },
        { 500, PERI_EUPSTREAM }, { 503, PERI_EUPSTREAM },  { 529, PERI_ERATELIMIT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(peri_health_of_status(cases[i].status), cases[i].err);
}

TEST(each_kind_of_failure_closes_for_its_own_time) {
    static const struct {
        enum peri_err err;
        uint64_t hint, want;
    } cases[] = {
        { PERI_ERATELIMIT, 0, 60000 }, { PERI_ERATELIMIT, 1500, 1500 },
        { PERI_EUPSTREAM, 0, 15000 },  { PERI_ECONNECT, 0, 15000 },
        { PERI_ETIMEOUT, 0, 15000 },   { PERI_EUPSTREAM, 200, 200 },
        { PERI_EAUTH, 0, 300000 },     { PERI_EREJECTED, 0, 0 },
        { PERI_ECANCELED, 0, 0 },      { PERI_ENOMEM, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        rig_open(&r);
        peri_health_failed(&r.p, &r.config, cases[i].err, 1000, cases[i].hint, false);
        CHECK_EQ(closed_for(&r, 1000), cases[i].want);
        rig_close(&r);
    }
}

TEST(a_probe_that_fails_doubles_the_rest_and_a_good_answer_forgets_it) {
    static const uint64_t want[] = { 15000, 30000, 60000, 120000, 120000 };
    struct rig r;
    rig_open(&r);
    uint64_t now = 1000;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        bool is_probe = false;
        CHECK(peri_vitals_enter(r.p.vitals, now, &is_probe));
        CHECK_EQ(is_probe, i > 0);
        peri_health_failed(&r.p, &r.config, PERI_EUPSTREAM, now, 0, is_probe);
        CHECK_EQ(closed_for(&r, now), want[i]);
        now += want[i];
    }
    bool is_probe = false;
    CHECK(peri_vitals_enter(r.p.vitals, now, &is_probe));
    peri_vitals_well(r.p.vitals);
    CHECK_EQ(closed_for(&r, now), 0);
    peri_health_failed(&r.p, &r.config, PERI_EUPSTREAM, now, 0, false);
    CHECK_EQ(closed_for(&r, now), 15000);
    rig_close(&r);
}

TEST(many_failures_at_once_are_one) {
    struct rig r;
    rig_open(&r);
    for (int i = 0; i < 50; i++)
        peri_health_failed(&r.p, &r.config, PERI_EUPSTREAM, 1000, 0, false);
    CHECK_EQ(closed_for(&r, 1000), 15000);
    rig_close(&r);
}
