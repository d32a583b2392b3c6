/* Whole requests into a running router with the policies that are shipped.
 *
 *   '{' …          the body of a chat whose provider answers well
 *   'A' … 'Z' …    bytes of a client's connection, with the same provider
 *   another byte   which policies; then one thing after the other, see rig_act
 *
 * PERI_FUZZ_SHOW=1 prints what the router logs. No input ends the process, no policy fails for what a request says, and afterwards everything is back at its base.
 */
#include "script/fuzz_rig.h"

#define CONFIG(policies)                                                                           \
    "{" RIG_PROVIDERS ",\"seed\":1,\"log\":{\"level\":\"debug\"},\"policy\":{\"budget\":\"2s\"},"  \
    "\"policies\":[" policies "]}"
#define POLICY(name, options)                                                                      \
    "{\"file\":\"" PERI_SOURCE_DIR "/policies/" name ".lua\",\"options\":{" options "}}"
#define EVERYWHERE "\"networks\":[]"
#define BEDS       4
#define LIFE       64 /* inputs that a router serves: what it learnt of providers does not pile up */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const configs[BEDS] = {
    CONFIG(POLICY("gonka_rules", EVERYWHERE) "," POLICY("tool_ids", EVERYWHERE) "," POLICY(
        "gonka_answers", EVERYWHERE ",\"think\":\"always\"") "," POLICY("weighted", "")),
    CONFIG(POLICY("gonka_rules", EVERYWHERE ",\"profile\":\"emulate\"") "," POLICY(
        "tool_ids", EVERYWHERE) "," POLICY("gonka_answers", EVERYWHERE) "," POLICY("gonka", "")),
    CONFIG(POLICY("gonka_rules", EVERYWHERE
                  ",\"images\":\"note\",\"special_tokens\":\"break\"") "," POLICY("fallback", "")),
    CONFIG(""),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rig rigs[BEDS];
    static unsigned served[BEDS];
    struct feed feed = { data, data + size };
    if (size == 0) return 0;
    bool is_body = data[0] == '{', is_text = is_body || (data[0] >= 'A' && data[0] <= 'Z');
    size_t which = is_text ? 0 : feed_below(&feed, BEDS);
    struct rig *r = &rigs[which];
    if (r->bed == NULL) rig_open(r, configs[which]);
    r->feed = &feed;
    r->mood = is_text ? RIG_WILLING : RIG_AS_FED;
    if (is_body) {
        rig_post(r, rig_line(r, 0), "/v1/chat/completions", "", feed_bytes(&feed, size));
    } else if (is_text) {
        rig_send(r, rig_line(r, 0), feed_bytes(&feed, size));
    }
    while (!feed_is_over(&feed)) rig_act(r);
    rig_rest(r);
    if (getenv("PERI_FUZZ_SHOW") != NULL) rig_show(r);
    if (++served[which] % LIFE == 0) rig_close_checked(r);
    return 0;
}
