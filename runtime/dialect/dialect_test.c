#include "dialect/dialect.h"

#include "base/test.h"

static bool is_routed(const struct peri_dialect *d, const char *member) {
    for (size_t i = 0; i < d->routed_count; i++)
        if (peri_str_eq(d->routed[i], peri_str_of(member))) return true;
    return false;
}

TEST(every_dialect_stands_in_its_place_and_is_found_by_its_path) {
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++) {
        const struct peri_dialect *d = peri_dialect((enum peri_dialect_id)i);
        CHECK_EQ(d->id, i);
        CHECK(peri_dialect_of_path(d->path) == d);
        CHECK(peri_str_has_prefix(d->path, PERI_STR("/v1")));
        CHECK(peri_str_eq(peri_str_from(d->path, 3), d->url_path)); /* URLs end in /v1 */
        CHECK(d->name.n > 0 && d->read_event != NULL && d->read_answer != NULL);
        CHECK(d->error_body != NULL && d->error_frame != NULL);
        CHECK(d->write_error != NULL && d->write_error_frame != NULL);
    }
    CHECK(peri_dialect_of_path(PERI_STR("/v1/chat/completions/")) == NULL);
    CHECK(peri_dialect_of_path(PERI_STR("/v1/models")) == NULL);
    CHECK(peri_dialect_of_path(PERI_STR("")) == NULL);
}

TEST(members_that_the_router_reads_are_routed) {
    static const char *const texts[] = { "messages", "prompt", "input" };
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++) {
        const struct peri_dialect *d = peri_dialect((enum peri_dialect_id)i);
        CHECK(is_routed(d, "model") && is_routed(d, "stream") && is_routed(d, texts[i]));
        CHECK_EQ(is_routed(d, "tools"), d->read_need != NULL);
    }
}

TEST(the_end_of_a_stream_is_read_as_it_is_written) {
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++) {
        const struct peri_dialect *d = peri_dialect((enum peri_dialect_id)i);
        CHECK_EQ(d->has_streams, d->end_frame.n > 0);
        if (!d->has_streams) continue;
        char frame[64];
        snprintf(frame, sizeof frame, "data: %.*s\n\n", PERI_STR_ARGS(d->end_data));
        CHECK_STR(d->end_frame, frame);
        struct peri_stream_state s = { .frames = 0 };
        CHECK_EQ(d->read_event(&s, PERI_STR(""), d->end_data), PERI_STREAM_DONE);
        CHECK(peri_stream_is_complete(&s));
    }
}

/* What is written for a client must be an error to a router that reads it. */
TEST(an_error_is_read_as_it_is_written) {
    struct peri_str none = { NULL, 0 };
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++) {
        const struct peri_dialect *d = peri_dialect((enum peri_dialect_id)i);
        struct peri_stream_state s = { .frames = 0 };
        struct peri_buf body;
        peri_buf_init(&body, 0);
        CHECK_EQ(d->error_body(&body, PERI_STR("m"), PERI_STR("t"), none, none), PERI_OK);
        CHECK_EQ(d->read_event(&s, PERI_STR(""), peri_buf_str(&body)), PERI_STREAM_ERROR);
        CHECK_EQ(d->read_answer(&s, peri_buf_str(&body)), PERI_EUPSTREAM);
        CHECK(!peri_stream_is_complete(&s));
        peri_buf_done(&body);
    }
}

TEST(a_prompts_completion_is_told_in_one_event) {
    struct peri_buf frames;
    peri_buf_init(&frames, 0);
    CHECK_EQ(
        peri_dialect_completions.stream_of_whole(&frames, PERI_STR("{\r\n \"choices\": []\n}")),
        PERI_OK);
    CHECK_STR(peri_buf_str(&frames), "data: {\ndata:  \"choices\": []\ndata: }\n\n");
    peri_buf_done(&frames);
}

TEST(each_dialect_knows_its_own_whole_answers) {
    static const char *const answers[] = {
        "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}",
        "{\"choices\":[{\"text\":\"Hi\",\"finish_reason\":\"stop\"}]}",
        "{\"data\":[{\"embedding\":[0.5]}]}"
    };
    for (size_t i = 0; i < PERI_DIALECT_COUNT; i++) {
        const struct peri_dialect *d = peri_dialect((enum peri_dialect_id)i);
        struct peri_stream_state s;
        struct peri_buf frames;
        peri_buf_init(&frames, 0);
        CHECK_EQ(d->read_answer(&s, peri_str_of(answers[i])), PERI_OK);
        bool is_told = peri_dialect_stream_of_whole(d, &frames, peri_str_of(answers[i])) == PERI_OK;
        CHECK_EQ(is_told, d->has_streams);
        CHECK_EQ(frames.n > 0, is_told);
        CHECK_EQ(d->whole_of_stream != NULL, d->has_streams);
        peri_buf_done(&frames);
    }
    struct peri_stream_state s;
    CHECK_EQ(peri_dialect_chat.read_answer(&s, peri_str_of(answers[2])), PERI_EPROTO);
    CHECK_EQ(peri_dialect_embeddings.read_answer(&s, peri_str_of(answers[0])), PERI_EPROTO);
}
