#include "gonka/chain/gonka_proto.h"

#include "base/test.h"

static size_t count_fields(struct peri_str message, enum peri_err *err) {
    struct peri_proto_field f;
    size_t n = 0;
    while (peri_proto_next(&f, &message, err)) n++;
    return n;
}

TEST(proto_varints_go_both_ways) {
    static const uint64_t values[] = {
        0, 1, 127, 128, 300, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        unsigned char bytes[10];
        uint64_t back = 7;
        struct peri_str view = { (char *)bytes, peri_proto_put_varint(bytes, values[i]) };
        CHECK_EQ(peri_proto_take_varint(&back, &view), PERI_OK);
        CHECK(back == values[i] && view.n == 0);
    }
    uint64_t value;
    struct peri_str over = PERI_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    CHECK_EQ(peri_proto_take_varint(&value, &over), PERI_EMALFORMED);
    over = PERI_STR("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00");
    CHECK_EQ(peri_proto_take_varint(&value, &over), PERI_EMALFORMED);
    over = PERI_STR("\x80");
    CHECK_EQ(peri_proto_take_varint(&value, &over), PERI_EMALFORMED);
}

TEST(proto_reads_every_wire_type) {
    struct peri_proto_field f;
    enum peri_err err;
    struct peri_str m = PERI_STR("\x08\x96\x01\x12\x03"
                                 "abc\x1d\x01\x02\x03\x04\x21\x01\x00\x00\x00\x00\x00\x00\x80");
    CHECK(peri_proto_next(&f, &m, &err) && f.number == 1 && f.value == 150);
    CHECK(peri_proto_next(&f, &m, &err) && f.number == 2 && f.wire == PERI_PROTO_BYTES);
    CHECK_STR(f.bytes, "abc");
    CHECK(peri_proto_next(&f, &m, &err) && f.number == 3 && f.value == 0x04030201);
    CHECK(peri_proto_next(&f, &m, &err) && f.number == 4 && f.value == 0x8000000000000001);
    CHECK(!peri_proto_next(&f, &m, &err));
    CHECK_EQ(err, PERI_OK);
}

TEST(proto_refuses_broken_messages) {
    static const struct peri_str bad[] = {
        PERI_STR_INIT("\x00"),
        PERI_STR_INIT("\x08"),
        PERI_STR_INIT("\x12\x05xyz"),
        PERI_STR_INIT("\x0b\x0c"),
        PERI_STR_INIT("\x0e"),
        PERI_STR_INIT("\x0f"),
        PERI_STR_INIT("\x1d\x01\x02"),
        PERI_STR_INIT("\x21\x01"),
        PERI_STR_INIT("\x80"),
        PERI_STR_INIT("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum peri_err err = PERI_OK;
        CHECK_EQ(count_fields(bad[i], &err), 0);
        CHECK_EQ(err, PERI_EMALFORMED);
    }
}

/* participants { index: "a", weight: -1, models: "m", models: "n", group 0: slots packed [1,1], group 1:
 * unpacked [0,1], group 2 without model, field 99 unknown }, epoch_id 5, field 50 unknown */
static const char record[] = "\x0a\x30\x0a\x01"
                             "a\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x2a\x01m\x2a\x01n"
                             "\x3a\x06\x0a\x04\x22\x02\x01\x01"
                             "\x3a\x06\x0a\x04\x20\x00\x20\x01"
                             "\x3a\x06\x0a\x04\x22\x02\x00\x01"
                             "\x9a\x06\x01x"
                             "\x30\x05\x90\x03\x01";

static struct peri_str whole(void) { return (struct peri_str){ record, sizeof record - 1 }; }

TEST(proto_decodes_a_record) {
    struct peri_gonka_set *set = NULL;
    CHECK_EQ(peri_gonka_set_decode(&set, whole(), NULL), PERI_OK);
    CHECK_EQ(set->count, 1);
    CHECK_EQ(set->epoch, 5);
    CHECK_STR(set->participants[0].address, "a");
    CHECK_EQ(set->participants[0].told_weight, 1);
    CHECK(set->participants[0].is_weight_guessed);
    CHECK_EQ(set->participants[0].model_count, 2);
    CHECK(set->participants[0].models[0].is_preserved);
    CHECK(set->participants[0].models[1].is_preserved);
    peri_gonka_set_free(set);
}

TEST(proto_reads_no_byte_too_far) {
    for (size_t n = 0; n <= whole().n; n++) {
        struct peri_gonka_set *set = NULL;
        char *p = test_guarded(record, n);
        enum peri_err err = peri_gonka_set_decode(&set, (struct peri_str){ p, n }, NULL);
        CHECK((err == PERI_OK) == (set != NULL));
        /* Whole fields, cut off between two of them, are a message too. */
        CHECK_EQ(err == PERI_OK, n == 0 || n == 50 || n == 52 || n == 55);
        peri_gonka_set_free(set);
        test_guarded_free(p, n);
    }
}

TEST(proto_refuses_known_fields_of_a_wrong_type) {
    static const struct peri_str bad[] = {
        PERI_STR_INIT("\x08\x01"),                 /* participants as a number */
        PERI_STR_INIT("\x32\x01x"),                /* epoch_id as bytes */
        PERI_STR_INIT("\x0a\x02\x08\x01"),         /* index as a number */
        PERI_STR_INIT("\x0a\x03\x1a\x01x"),        /* weight as bytes */
        PERI_STR_INIT("\x0a\x02\x28\x01"),         /* a model as a number */
        PERI_STR_INIT("\x0a\x02\x38\x01"),         /* a group as a number */
        PERI_STR_INIT("\x0a\x04\x3a\x02\x08\x01"), /* a machine as a number */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct peri_gonka_set *set = NULL;
        CHECK_EQ(peri_gonka_set_decode(&set, bad[i], NULL), PERI_EMALFORMED);
    }
}

TEST(proto_survives_failing_allocations) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_gonka_set *set = NULL;
        enum peri_err err = peri_gonka_set_decode(&set, whole(), NULL);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        peri_gonka_set_free(set);
    }
}
