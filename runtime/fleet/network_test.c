#include "fleet/network.h"

#include <stdio.h>

#include "base/test.h"

static unsigned inherited, freed;

static bool inherit(struct peri_network *n, struct peri_network *old) {
    CHECK(n != old);
    inherited++;
    return true;
}
static void free_network(struct peri_network *n) {
    (void)n;
    freed++;
}
static void put_status(const struct peri_network *n, struct peri_network_status *out) {
    (void)n;
    out->epoch = 7;
}

static const struct peri_network_ops kind = {
    .name = "one", .inherit = inherit, .free = free_network, .status = put_status
};
static const struct peri_network_ops other = {
    .name = "other", .inherit = inherit, .free = free_network, .status = put_status
};

TEST(a_network_inherits_from_its_own_kind_only) {
    const struct peri_config_provider p = { .id = PERI_STR("same id") };
    struct peri_network a, b, c;
    peri_network_init(&a, &kind, &p);
    peri_network_init(&b, &kind, &p);
    peri_network_init(&c, &other, &p);
    inherited = 0;
    CHECK(!peri_network_inherit(&a, &c));
    CHECK_EQ(inherited, 0);
    CHECK(peri_network_inherit(&a, &b));
    CHECK_EQ(inherited, 1);
}

TEST(a_network_is_freed_by_its_last_reference) {
    const struct peri_config_provider p = { .id = PERI_STR("g") };
    struct peri_network n;
    peri_network_init(&n, &kind, &p);
    freed = 0;
    peri_network_unref(peri_network_ref(&n));
    CHECK_EQ(freed, 0);
    peri_network_unref(&n);
    CHECK_EQ(freed, 1);
    peri_network_unref(NULL);
}

TEST(a_status_tells_the_configured_id) {
    const struct peri_config_provider p = { .id = PERI_STR("g") };
    struct peri_network n;
    struct peri_network_status status;
    peri_network_init(&n, &kind, &p);
    peri_network_status(&n, &status);
    CHECK_STR(peri_str_of(status.id), "g");
    CHECK_STR(peri_str_of(status.phase), "");
    CHECK_EQ(status.epoch, 7);
}

/* Two networks may know one host: the first one has it. */
TEST(a_host_list_holds_each_id_once) {
    struct peri_host_list l;
    char ids[200][8];
    peri_host_list_init(&l);
    for (uint32_t round = 0; round < 2; round++) {
        for (int i = 0; i < 200; i++) {
            snprintf(ids[i], sizeof ids[i], "h%d", i);
            struct peri_fleet_host h = { .id = peri_str_of(ids[i]), .weight = round };
            CHECK_EQ(peri_host_list_add(&l, &h), PERI_OK);
        }
    }
    CHECK_EQ(l.count, 200);
    CHECK_STR(l.at[199].id, "h199");
    CHECK_EQ(l.at[199].weight, 0);
    peri_host_list_done(&l);
}

TEST(a_host_list_survives_missing_memory) {
    static const struct peri_fleet_host host = { .id = PERI_STR_INIT("h") };
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_host_list l;
        peri_host_list_init(&l);
        enum peri_err err = peri_host_list_add(&l, &host);
        CHECK(err == PERI_ENOMEM ? l.count == 0 : l.count == 1);
        peri_host_list_done(&l);
    }
}
