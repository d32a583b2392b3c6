#include "dialect/error.h"

#include "base/test.h"

static const struct peri_str none = { NULL, 0 };

TEST(error_body_has_all_four_keys) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    CHECK_EQ(peri_error_body(&b, PERI_STR("no \"such\"\nmodel"), PERI_STR("invalid_request_error"),
                             PERI_STR("model"), PERI_STR("model_not_found")),
             PERI_OK);
    CHECK_STR(
        peri_buf_str(&b),
        "{\"error\":{\"message\":\"no \\\"such\\\"\\nmodel\",\"type\":\"invalid_request_error\","
        "\"param\":\"model\",\"code\":\"model_not_found\"}}");
    peri_buf_clear(&b);
    peri_error_body(&b, PERI_STR("x"), PERI_STR("server_error"), none, none);
    CHECK_STR(
        peri_buf_str(&b),
        "{\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    peri_buf_done(&b);
}

TEST(error_written_without_memory_is_the_same_body) {
    struct peri_buf b;
    char text[96];
    peri_buf_init(&b, 0);
    peri_error_body(&b, PERI_STR("no memory"), PERI_STR("server_error"), none, PERI_STR("c"));
    struct peri_str whole = peri_error_write(text, sizeof text, "no memory", "server_error", "c");
    CHECK(peri_str_eq(whole, peri_buf_str(&b)));
    CHECK(peri_error_write(text, whole.n + 1, "no memory", "server_error", "c").p == text);
    CHECK(peri_error_write(text, whole.n, "no memory", "server_error", "c").p == NULL);
    peri_buf_clear(&b);
    peri_error_frame(&b, PERI_STR("no memory"), PERI_STR("server_error"), none, PERI_STR("c"));
    for (size_t room = 0; room < sizeof text; room++) {
        struct peri_str frame =
            peri_error_write_frame(text, room, "no memory", "server_error", "c");
        CHECK_EQ(frame.p != NULL, room > b.n); /* with a NUL behind the body, for the formatter */
        if (frame.p != NULL) CHECK(peri_str_eq(frame, peri_buf_str(&b)));
    }
    peri_buf_done(&b);
}

TEST(error_frame_is_one_event_whatever_the_message_holds) {
    struct peri_buf b;
    peri_buf_init(&b, 0);
    peri_error_frame(&b, PERI_STR("a\r\n\r\ndata: [DONE]"), PERI_STR("server_error"), none,
                     PERI_STR("upstream_stalled"));
    CHECK_STR(
        peri_buf_str(&b),
        "data: {\"error\":{\"message\":\"a\\r\\n\\r\\ndata: [DONE]\",\"type\":\"server_error\","
        "\"param\":null,\"code\":\"upstream_stalled\"}}\n\n");
    peri_buf_done(&b);
}

TEST(error_shape_follows_the_side_that_failed) {
    CHECK_EQ(peri_error_shape(PERI_ETIMEOUT, PERI_SIDE_CLIENT).status, 408);
    CHECK_EQ(peri_error_shape(PERI_ETIMEOUT, PERI_SIDE_UPSTREAM).status, 504);
    CHECK_EQ(peri_error_shape(PERI_ETOOBIG, PERI_SIDE_CLIENT).status, 413);
    CHECK_STR(peri_str_of(peri_error_shape(PERI_ETOOBIG, PERI_SIDE_UPSTREAM).code),
              "upstream_oversize");
    CHECK_STR(peri_str_of(peri_error_shape(PERI_EAUTH, PERI_SIDE_CLIENT).code), "invalid_api_key");
    CHECK_EQ(peri_error_shape(PERI_EAUTH, PERI_SIDE_UPSTREAM).status, 502);
    CHECK_EQ(peri_error_shape(PERI_ENOMODEL, PERI_SIDE_CLIENT).status, 404);
    CHECK_EQ(peri_error_shape(PERI_ERATELIMIT, PERI_SIDE_UPSTREAM).status, 429);
    CHECK_STR(peri_str_of(peri_error_shape(PERI_ESTALL, PERI_SIDE_UPSTREAM).code),
              "upstream_stalled");
    CHECK_EQ(peri_error_shape(PERI_OK, PERI_SIDE_CLIENT).status, 500);
    CHECK_EQ(peri_error_shape(PERI_ERR_COUNT, PERI_SIDE_CLIENT).status, 500);
}

TEST(error_shape_has_a_row_for_every_error) {
    for (int err = PERI_ENOMEM; err < PERI_ERR_COUNT; err++) {
        struct peri_error_shape ours = peri_error_shape((enum peri_err)err, PERI_SIDE_CLIENT);
        struct peri_error_shape theirs = peri_error_shape((enum peri_err)err, PERI_SIDE_UPSTREAM);
        bool is_internal =
            strcmp(ours.code, "internal_error") == 0 && strcmp(theirs.code, "internal_error") == 0;
        if (is_internal) fprintf(stderr, "no row for %s\n", peri_err_name((enum peri_err)err));
        CHECK(!is_internal);
        /* It may be written as it is. */
        CHECK(strpbrk(peri_err_text((enum peri_err)err), "\"\\") == NULL);
    }
}

TEST(error_body_survives_running_out_of_memory) {
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_buf b;
        peri_buf_init(&b, 0);
        enum peri_err err = peri_error_frame(&b, PERI_STR("m"), PERI_STR("t"), none, none);
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        if (test_torture_done) CHECK_EQ(err, PERI_OK);
        peri_buf_done(&b);
    }
}
