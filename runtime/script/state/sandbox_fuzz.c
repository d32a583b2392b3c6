/* Any bytes as a policy: whatever they say, the state stays usable, keeps its heap and stops in its budget. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "script/state/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int push_source(lua_State *L, void *arg) {
    peri_push_chunk(L, "fuzz.lua", *(struct peri_str *)arg);
    return 0;
}

static void check(bool is_so, const char *claim) {
    if (is_so) return;
    fprintf(stderr, "not so: %s\n", claim);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct peri_task_ops ops = { push_source, NULL, NULL };
    struct peri_state_options options = { .heap_max = 1u << 20,
                                          .entry = { .steps = 20000, .is_counted = true },
                                          .seed = 1 };
    struct peri_str source = { (const char *)data, size }, after = PERI_STR("assert(not leak)");
    struct peri_state *s;
    struct peri_fault fault;
    check(peri_state_new(&s, &options) == PERI_OK, "a state can be made");
    check(peri_task_start(NULL, s, &ops, &source, &fault) != PERI_TASK_WAITING, "nothing waits");
    check(s->heap_peak <= options.heap_max, "the heap stays below its cap");
    check(peri_task_start(NULL, s, &ops, &after, &fault) == PERI_TASK_DONE, "the state is usable");
    peri_state_free(s);
    return 0;
}
