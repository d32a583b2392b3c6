#include "dialect/error_sense.h"

#include <stdio.h>

#include "base/test.h"

static enum peri_error_sense sense_of(int status, const char *body) {
    struct peri_upstream_error e;
    peri_upstream_error_read(&e, peri_str_of(body), PERI_STR(""));
    return peri_error_sense(&e, status, PERI_STR("big"));
}

static int status_of(const char *body) {
    struct peri_upstream_error e;
    peri_upstream_error_read(&e, peri_str_of(body), PERI_STR(""));
    return peri_error_sense_status(&e);
}

#define ERROR(message, type, code)                                                                 \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":null,\"code\":" code  \
    "}}"

TEST(error_sense_reads_codes_before_types_before_sentences) {
    CHECK_EQ(sense_of(404, ERROR("?", "invalid_request_error", "\"model_not_found\"")),
             PERI_SENSE_MODEL);
    CHECK_EQ(sense_of(404, ERROR("The model `big` does not exist.", "NotFoundError", "404")),
             PERI_SENSE_MODEL);
    CHECK_EQ(sense_of(404, ERROR("Item 'rs_1' not found.", "invalid_request_error", "null")),
             PERI_SENSE_REQUEST);
    CHECK_EQ(sense_of(404, ERROR("Invalid URL (POST /v1/x)", "invalid_request_error", "null")),
             PERI_SENSE_PATH);
    CHECK_EQ(sense_of(404, "{\"detail\":\"Not Found\"}"), PERI_SENSE_PATH);
    CHECK_EQ(sense_of(404, "404 page not found"), PERI_SENSE_PATH);
    CHECK_EQ(sense_of(404, "{\"error\":\"model 'big' not found\"}"), PERI_SENSE_MODEL);
    CHECK_EQ(sense_of(403, ERROR("Your prompt was flagged", "", "null")), PERI_SENSE_MODERATION);
    CHECK_EQ(sense_of(403, ERROR("no", "permission_error", "null")), PERI_SENSE_KEY);
    CHECK_EQ(sense_of(429, ERROR("You exceeded it", "x", "\"insufficient_quota\"")),
             PERI_SENSE_FUNDS);
    CHECK_EQ(sense_of(400, ERROR("This model's maximum context length is 8192 tokens", "", "400")),
             PERI_SENSE_CONTEXT);
    CHECK_EQ(
        sense_of(400, ERROR("Your credit balance is too low", "invalid_request_error", "null")),
        PERI_SENSE_FUNDS);
}

TEST(error_sense_of_a_parameter_that_a_model_does_not_take_is_the_request) {
    CHECK_EQ(sense_of(400, ERROR("'max_tokens' is not supported with this model",
                                 "invalid_request_error", "\"unsupported_parameter\"")),
             PERI_SENSE_REQUEST);
    CHECK_EQ(sense_of(400, ERROR("big is not a valid model ID", "", "400")), PERI_SENSE_MODEL);
    CHECK_EQ(sense_of(400, ERROR("Unknown model: x", "", "400")), PERI_SENSE_MODEL);
}

TEST(error_sense_of_what_one_request_asks_of_a_model_is_not_the_model) {
    static const char *const unfit[] = {
        "No endpoints found that support tool use. To learn more, visit: x",
        "No endpoints found matching your data policy",
        "No allowed providers are available for the selected model.",
    };
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        char body[200];
        snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"code\":404}}", unfit[i]);
        CHECK_EQ(sense_of(404, body), PERI_SENSE_UNFIT);
    }
    CHECK_EQ(sense_of(404, ERROR("No endpoints found for big.", "", "404")), PERI_SENSE_MODEL);
    CHECK_EQ(sense_of(429, ERROR("Request too large for big on tokens per min (TPM): Limit 30000, "
                                 "Requested 41213.",
                                 "tokens", "\"rate_limit_exceeded\"")),
             PERI_SENSE_UNFIT);
}

/* A provider repeats what the client wrote: that must not speak for a path, an account or a key. */
TEST(error_sense_of_words_that_a_client_wrote_is_never_wider) {
    CHECK_EQ(sense_of(404, ERROR("The model `Invalid URL (POST` does not exist", "", "null")),
             PERI_SENSE_MODEL);
    CHECK_EQ(
        sense_of(400, ERROR("bad value: 'API key not valid'", "invalid_request_error", "null")),
        PERI_SENSE_REQUEST);
    CHECK_EQ(sense_of(400, ERROR("bad value: 'Insufficient Balance'", "x", "null")),
             PERI_SENSE_UNKNOWN);
    CHECK_EQ(sense_of(400, ERROR("bad value: 'unknown model big'", "x", "null")),
             PERI_SENSE_UNKNOWN);
    CHECK_EQ(sense_of(422, ERROR("'x: big is not a valid model' is no tool", "x", "null")),
             PERI_SENSE_UNKNOWN);
}

TEST(error_sense_gives_errors_inside_a_200_their_status) {
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        { ERROR("m", "invalid_request_error", "\"context_length_exceeded\""), 400 },
        { ERROR("m", "invalid_request_error", "null"), 400 },
        { ERROR("m", "tokens", "\"rate_limit_exceeded\""), 429 },
        { ERROR("m", "insufficient_quota", "\"insufficient_quota\""), 402 },
        { ERROR("m", "overloaded_error", "null"), 503 },
        { ERROR("m", "server_error", "null"), 500 },
        { ERROR("m", "api_error", "null"), 500 },
        { ERROR("m", "authentication_error", "null"), 401 },
        { ERROR("m", "not_found_error", "null"), 404 },
        { ERROR("m", "request_too_large", "null"), 413 },
        { ERROR("m", "INVALID_ARGUMENT", "null"), 400 },
        { ERROR("m", "RESOURCE_EXHAUSTED", "null"), 429 },
        { ERROR("m", "UNAVAILABLE", "null"), 503 },
        { ERROR("m", "DEADLINE_EXCEEDED", "null"), 504 },
        { ERROR("m", "BadRequestError", "null"), 400 },
        { ERROR("m", "nobody knows", "null"), 0 },
        { "text", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(status_of(cases[i].body), cases[i].status);
}
