#include "dialect/error_sense.h"

/* In lower case, without what separates words, and without "error" behind it. */
static const struct {
    const char *word;
    enum peri_error_sense sense;
} words[] = {
    { "contextlengthexceeded", PERI_SENSE_CONTEXT },
    { "contextwindowexceeded", PERI_SENSE_CONTEXT },
    { "exceedcontextsize", PERI_SENSE_CONTEXT },
    { "stringabovemaxlength", PERI_SENSE_CONTEXT },
    { "prompttoolong", PERI_SENSE_CONTEXT },
    { "requesttoolarge", PERI_SENSE_TOO_LARGE },
    { "payloadtoolarge", PERI_SENSE_TOO_LARGE },
    { "modelnotfound", PERI_SENSE_MODEL },
    { "modelnotavailable", PERI_SENSE_MODEL },
    { "modelnotsupported", PERI_SENSE_MODEL },
    { "modeldecommissioned", PERI_SENSE_MODEL },
    { "modeldeprecated", PERI_SENSE_MODEL },
    { "unsupportedmodel", PERI_SENSE_MODEL },
    { "invalidmodel", PERI_SENSE_MODEL },
    { "deploymentnotfound", PERI_SENSE_MODEL },
    { "unknownurl", PERI_SENSE_PATH },
    { "routenotfound", PERI_SENSE_PATH },
    { "endpointnotfound", PERI_SENSE_PATH },
    { "contentpolicyviolation", PERI_SENSE_MODERATION },
    { "contentfilter", PERI_SENSE_MODERATION },
    { "contentfiltered", PERI_SENSE_MODERATION },
    { "contentblocked", PERI_SENSE_MODERATION },
    { "contentmoderation", PERI_SENSE_MODERATION },
    { "moderation", PERI_SENSE_MODERATION },
    { "moderationblocked", PERI_SENSE_MODERATION },
    { "promptblocked", PERI_SENSE_MODERATION },
    { "policyviolation", PERI_SENSE_MODERATION },
    { "responsibleaipolicyviolation", PERI_SENSE_MODERATION },
    { "datainspectionfailed", PERI_SENSE_MODERATION },
    { "guardrail", PERI_SENSE_MODERATION },
    { "safety", PERI_SENSE_MODERATION },
    { "insufficientquota", PERI_SENSE_FUNDS },
    { "insufficientbalance", PERI_SENSE_FUNDS },
    { "insufficientcredits", PERI_SENSE_FUNDS },
    { "insufficientfunds", PERI_SENSE_FUNDS },
    { "billinghardlimitreached", PERI_SENSE_FUNDS },
    { "billingnotactive", PERI_SENSE_FUNDS },
    { "billing", PERI_SENSE_FUNDS },
    { "paymentrequired", PERI_SENSE_FUNDS },
    { "invalidapikey", PERI_SENSE_KEY },
    { "apikeyinvalid", PERI_SENSE_KEY },
    { "incorrectapikey", PERI_SENSE_KEY },
    { "authentication", PERI_SENSE_KEY },
    { "invalidauthentication", PERI_SENSE_KEY },
    { "unauthenticated", PERI_SENSE_KEY },
    { "unauthorized", PERI_SENSE_KEY },
    { "permission", PERI_SENSE_KEY },
    { "permissiondenied", PERI_SENSE_KEY },
    { "accountdeactivated", PERI_SENSE_KEY },
    { "accessterminated", PERI_SENSE_KEY },
    { "unsupportedcountryregionterritory", PERI_SENSE_KEY },
    { "ratelimit", PERI_SENSE_RATE },
    { "ratelimitexceeded", PERI_SENSE_RATE },
    { "ratelimited", PERI_SENSE_RATE },
    { "toomanyrequests", PERI_SENSE_RATE },
    { "resourceexhausted", PERI_SENSE_RATE },
    { "throttling", PERI_SENSE_RATE },
    { "throttled", PERI_SENSE_RATE },
    { "overloaded", PERI_SENSE_OVERLOAD },
    { "engineoverloaded", PERI_SENSE_OVERLOAD },
    { "modeloverloaded", PERI_SENSE_OVERLOAD },
    { "serviceunavailable", PERI_SENSE_OVERLOAD },
    { "unavailable", PERI_SENSE_OVERLOAD },
    { "capacityexceeded", PERI_SENSE_OVERLOAD },
    { "timeout", PERI_SENSE_TIMEOUT },
    { "requesttimeout", PERI_SENSE_TIMEOUT },
    { "gatewaytimeout", PERI_SENSE_TIMEOUT },
    { "deadlineexceeded", PERI_SENSE_TIMEOUT },
    { "server", PERI_SENSE_SERVER },
    { "internal", PERI_SENSE_SERVER },
    { "internalserver", PERI_SENSE_SERVER },
    { "api", PERI_SENSE_SERVER },
    { "badgateway", PERI_SENSE_SERVER },
    { "notfound", PERI_SENSE_NOT_FOUND },
    { "invalidrequest", PERI_SENSE_REQUEST },
    { "badrequest", PERI_SENSE_REQUEST },
    { "invalidargument", PERI_SENSE_REQUEST },
    { "invalidparameter", PERI_SENSE_REQUEST },
    { "invalidvalue", PERI_SENSE_REQUEST },
    { "invalidprompt", PERI_SENSE_REQUEST },
    { "invalidtype", PERI_SENSE_REQUEST },
    { "unsupportedparameter", PERI_SENSE_REQUEST },
    { "unsupportedvalue", PERI_SENSE_REQUEST },
    { "unknownparameter", PERI_SENSE_REQUEST },
    { "missingrequiredparameter", PERI_SENSE_REQUEST },
    { "unprocessableentity", PERI_SENSE_REQUEST },
    { "validation", PERI_SENSE_REQUEST },
    { "outofrange", PERI_SENSE_REQUEST },
};

static enum peri_error_sense sense_of_word(const char *text) {
    char word[65];
    size_t n = 0;
    for (; *text != '\0' && n < sizeof word - 1; text++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) word[n++] = c;
    }
    word[n] = '\0';
    static const char *const tails[] = { "error", "exception" };
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        size_t tail = strlen(tails[i]);
        if (n > tail && strcmp(word + n - tail, tails[i]) == 0) word[n - tail] = '\0';
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0) return words[i].sense;
    return PERI_SENSE_UNKNOWN;
}

/* The code is the narrower word; "invalid_request_error" as the type of a missing model says little. */
static enum peri_error_sense sense_of_words(const struct peri_upstream_error *e) {
    enum peri_error_sense code = sense_of_word(e->code);
    return code != PERI_SENSE_UNKNOWN ? code : sense_of_word(e->type);
}

static bool has_text(struct peri_str in, struct peri_str what) {
    for (; in.n >= what.n; in = peri_str_from(in, 1))
        if (peri_str_eq_nocase((struct peri_str){ in.p, what.n }, what)) return true;
    return false;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* As a word of its own: a model named "m" is not in "Method". */
static bool has_name(struct peri_str in, struct peri_str name) {
    char before = ' ';
    if (name.n == 0) return false;
    for (; in.n >= name.n; before = *in.p, in = peri_str_from(in, 1)) {
        char after = in.n > name.n ? in.p[name.n] : ' ';
        if (!is_word(before) && !is_word(after) &&
            peri_str_eq_nocase((struct peri_str){ in.p, name.n }, name))
            return true;
    }
    return false;
}

bool peri_error_names(const struct peri_upstream_error *e, struct peri_str model) {
    return has_name(peri_str_of(e->message), model);
}

static bool has_any(struct peri_str message, const struct peri_str *texts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (has_text(message, texts[i])) return true;
    return false;
}
#define HAS_ANY(message, list) has_any(message, list, sizeof(list) / sizeof *(list))

static bool begins_any(struct peri_str message, const struct peri_str *texts, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (peri_str_has_prefix(message, texts[i])) return true;
    return false;
}
#define BEGINS_ANY(message, list) begins_any(message, list, sizeof(list) / sizeof *(list))

/* As "unknown model: big" and "big is not a valid model ID" do. */
static bool begins_with_model(struct peri_str message, struct peri_str model,
                              const struct peri_str *texts, size_t count) {
    while (message.n > 0 && !is_word(*message.p)) message = peri_str_from(message, 1);
    bool is_named = model.n > 0 && message.n >= model.n &&
                    peri_str_eq_nocase((struct peri_str){ message.p, model.n }, model);
    if (is_named) return has_any(message, texts, count);
    for (size_t i = 0; i < count; i++)
        if (message.n >= texts[i].n &&
            peri_str_eq_nocase((struct peri_str){ message.p, texts[i].n }, texts[i]))
            return true;
    return false;
}

/* "'x' is not supported with this model" is about x, so a bad request must say more than one that finds nothing. And what
 * is bad about it is repeated: it must begin with the model. */
static bool speaks_of_model(struct peri_str message, int status, struct peri_str model) {
    static const struct peri_str plain[] = {
        PERI_STR_INIT("not a valid model"),  PERI_STR_INIT("unknown model"),
        PERI_STR_INIT("no such model"),      PERI_STR_INIT("unsupported model"),
        PERI_STR_INIT("invalid model"),      PERI_STR_INIT("model not found"),
        PERI_STR_INIT("no endpoints found"),
    };
    static const struct peri_str missing[] = {
        PERI_STR_INIT("not found"),      PERI_STR_INIT("does not exist"),
        PERI_STR_INIT("doesn't exist"),  PERI_STR_INIT("not supported"),
        PERI_STR_INIT("not available"),  PERI_STR_INIT("no longer available"),
        PERI_STR_INIT("have access to"), PERI_STR_INIT("decommissioned"),
        PERI_STR_INIT("deprecated"),     PERI_STR_INIT("not allowed"),
        PERI_STR_INIT("a chat model"),
    };
    if (status == 400 || status == 422)
        return begins_with_model(message, model, plain, sizeof plain / sizeof *plain);
    if (HAS_ANY(message, plain)) return true;
    bool is_named = has_name(message, model) || has_text(message, PERI_STR("model"));
    return is_named && HAS_ANY(message, missing);
}

/* What the sentence narrows the request's own failure down to. */
static enum peri_error_sense sense_of_sentence(struct peri_str message, int status,
                                               struct peri_str model) {
    static const struct peri_str context[] = {
        PERI_STR_INIT("maximum context length"), PERI_STR_INIT("context length"),
        PERI_STR_INIT("context window"),         PERI_STR_INIT("context size"),
        PERI_STR_INIT("prompt is too long"),     PERI_STR_INIT("input token count"),
    };
    static const struct peri_str moderation[] = {
        PERI_STR_INIT("moderation"),      PERI_STR_INIT("flagged"),
        PERI_STR_INIT("content policy"),  PERI_STR_INIT("content filter"),
        PERI_STR_INIT("usage policies"),  PERI_STR_INIT("content management policy"),
        PERI_STR_INIT("safety system"),   PERI_STR_INIT("inappropriate content"),
        PERI_STR_INIT("violates our"),    PERI_STR_INIT("content exists risk"),
        PERI_STR_INIT("sensitive words"), PERI_STR_INIT("guardrail"),
    };
    static const struct peri_str price[] = { PERI_STR_INIT("can only afford"),
                                             PERI_STR_INIT("fewer max_tokens") };
    if (HAS_ANY(message, price)) return PERI_SENSE_PRICE;
    if (HAS_ANY(message, context)) return PERI_SENSE_CONTEXT;
    if (HAS_ANY(message, moderation)) return PERI_SENSE_MODERATION;
    return speaks_of_model(message, status, model) ? PERI_SENSE_MODEL : PERI_SENSE_UNKNOWN;
}

/* Servers and proxies that know no such path; asked after the model was looked for, whose name a client chooses. */
static bool speaks_of_path(struct peri_str message) {
    static const struct peri_str begins[] = {
        PERI_STR_INIT("Invalid URL"),   PERI_STR_INIT("Unknown request URL"),
        PERI_STR_INIT("404 page not"),  PERI_STR_INIT("no Route matched"),
        PERI_STR_INIT("Cannot POST"),   PERI_STR_INIT("Unrecognized request URL"),
        PERI_STR_INIT("Unknown path"),  PERI_STR_INIT("Method Not Allowed"),
        PERI_STR_INIT("Unknown route"), PERI_STR_INIT("Route not found"),
    };
    return peri_str_eq_nocase(message, PERI_STR("Not Found")) || BEGINS_ANY(message, begins);
}

static bool is_about_the_request(enum peri_error_sense sense) {
    return sense == PERI_SENSE_UNKNOWN || sense == PERI_SENSE_REQUEST ||
           sense == PERI_SENSE_NOT_FOUND || sense == PERI_SENSE_KEY || sense == PERI_SENSE_FUNDS;
}

enum peri_error_sense peri_error_sense(const struct peri_upstream_error *e, int status,
                                       struct peri_str model) {
    static const struct peri_str broke[] = { PERI_STR_INIT("Your credit balance is too low"),
                                             PERI_STR_INIT("Insufficient Balance") };
    /* OpenRouter, of models that it does have; OpenAI, of more tokens than a minute may bring. */
    static const struct peri_str unfit[] = { PERI_STR_INIT("No endpoints found that"),
                                             PERI_STR_INIT("No endpoints found matching"),
                                             PERI_STR_INIT("No allowed providers are available"),
                                             PERI_STR_INIT("Request too large for") };
    static const struct peri_str refused[] = { PERI_STR_INIT("API key not valid"),
                                               PERI_STR_INIT("Incorrect API key provided") };
    struct peri_str message = peri_str_of(e->message);
    enum peri_error_sense sense = sense_of_words(e);
    if (BEGINS_ANY(message, unfit)) return PERI_SENSE_UNFIT;
    if (!is_about_the_request(sense)) return sense;
    enum peri_error_sense told = sense_of_sentence(message, status, model);
    if (told != PERI_SENSE_UNKNOWN) return told;
    if (BEGINS_ANY(message, broke)) return PERI_SENSE_FUNDS;
    if (BEGINS_ANY(message, refused)) return PERI_SENSE_KEY;
    if (sense != PERI_SENSE_KEY && sense != PERI_SENSE_FUNDS && speaks_of_path(message))
        return PERI_SENSE_PATH;
    return sense;
}

int peri_error_sense_status(const struct peri_upstream_error *e) {
    switch (sense_of_words(e)) {
    case PERI_SENSE_REQUEST:
    case PERI_SENSE_CONTEXT: return 400;
    case PERI_SENSE_TOO_LARGE: return 413;
    case PERI_SENSE_MODERATION: return 403;
    case PERI_SENSE_MODEL:
    case PERI_SENSE_PATH:
    case PERI_SENSE_NOT_FOUND: return 404;
    case PERI_SENSE_KEY: return 401;
    case PERI_SENSE_FUNDS:
    case PERI_SENSE_PRICE: return 402;
    case PERI_SENSE_RATE: return 429;
    case PERI_SENSE_OVERLOAD: return 503;
    case PERI_SENSE_TIMEOUT: return 504;
    case PERI_SENSE_SERVER: return 500;
    case PERI_SENSE_UNFIT:
    case PERI_SENSE_UNKNOWN: break;
    }
    return 0;
}
