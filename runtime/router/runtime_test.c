/* Policies are changed on all workers or on none, each on its own thread, also when memory runs out in between. */
#include "router/runtime.h"

#include "base/mem.h"
#include "base/test.h"
#include "router/config_load.h"
#include "router/worker.h"

#define WORKERS 3

/* A source of policies without hooks, which notes on whose thread each worker takes its own over. */
struct source {
    int adopted, elsewhere, alive, programs;
};

static enum peri_err load(void *arg, void **out, void *current, uint64_t generation,
                          struct peri_fault *fault) {
    struct source *s = arg;
    (void)current, (void)generation, (void)fault;
    *out = peri_malloc(1);
    if (*out == NULL) return PERI_ENOMEM;
    s->programs++;
    return PERI_OK;
}

static void free_policy(struct peri_policy *p) {
    struct source *s = p->self;
    __atomic_sub_fetch(&s->alive, 1, __ATOMIC_SEQ_CST);
    peri_free(p);
}

static enum peri_err open_policy(void *arg, struct peri_policy **out, void *program,
                                 struct peri_worker *w, uint64_t generation,
                                 struct peri_fault *fault) {
    static const struct peri_policy_ops ops = { .decide = NULL };
    struct source *s = arg;
    (void)program, (void)w, (void)fault;
    *out = peri_malloc(sizeof **out);
    if (*out == NULL) return PERI_ENOMEM;
    **out = (struct peri_policy){
        .ops = &ops, .self = s, .free = free_policy, .generation = generation, .refs = 1
    };
    __atomic_add_fetch(&s->alive, 1, __ATOMIC_SEQ_CST);
    return PERI_OK;
}

static void adopt(struct peri_policy *p, struct peri_worker *w) {
    struct source *s = p->self;
    bool is_own = !w->has_thread || pthread_equal(w->thread, pthread_self());
    __atomic_add_fetch(is_own ? &s->adopted : &s->elsewhere, 1, __ATOMIC_SEQ_CST);
}

static void drop(void *arg, void *program) {
    ((struct source *)arg)->programs--;
    peri_free(program);
}

static struct peri_runtime *start(struct source *s, bool has_threads) {
    static const char json[] =
        "{\"listen\":\"127.0.0.1:0\",\"log\":{\"level\":\"off\"},"
        "\"providers\":[{\"id\":\"a\",\"url\":\"http://127.0.0.1:1\",\"discover_models\":false}]}";
    struct peri_fault fault = { .text = "" };
    struct peri_config *config = NULL;
    struct peri_runtime *rt = NULL;
    struct peri_policy_source source = {
        .load = load, .open = open_policy, .adopt = adopt, .drop = drop, .arg = s
    };
    struct peri_fault_list *faults = calloc(1, sizeof *faults);
    struct peri_secret_box *box = peri_secret_box_new(&peri_env_process_kept);
    CHECK_EQ(peri_config_load_json(&config, peri_str_of(json), PERI_STR("test"), box, faults),
             PERI_OK);
    peri_secret_box_free(box);
    free(faults);
    CHECK_EQ(peri_runtime_new(&rt, config, &source, WORKERS, NULL, &fault), PERI_OK);
    peri_config_unref(config);
    if (has_threads) CHECK_EQ(peri_runtime_start(rt, &fault), PERI_OK);
    return rt;
}

static void stop(struct peri_runtime *rt, struct source *s, bool has_threads) {
    if (has_threads) {
        peri_runtime_stop(rt);
        peri_runtime_join(rt);
    }
    peri_runtime_free(rt);
    CHECK_EQ(s->alive, 0);
    CHECK_EQ(s->programs, 0);
}

static void reload_without_memory(bool has_threads) {
    struct source s = { .adopted = 0 };
    struct peri_runtime *rt = start(&s, has_threads);
    uint64_t generation = rt->generation;
    TEST_EACH_FAILING_ALLOCATION {
        struct peri_fault fault = { .text = "" };
        s.adopted = s.elsewhere = 0;
        enum peri_err err = peri_runtime_reload_policies(rt, NULL, &fault);
        if (err == PERI_OK) generation++;
        CHECK(err == PERI_OK || err == PERI_ENOMEM);
        CHECK_EQ(s.adopted, err == PERI_OK ? WORKERS : 0);
        CHECK_EQ(s.elsewhere, 0);
        CHECK_EQ(rt->generation, generation);
        for (unsigned i = 0; i < WORKERS; i++)
            CHECK_EQ(rt->workers[i]->env.policy->generation, generation);
        CHECK_EQ(s.alive, WORKERS);
        CHECK_EQ(s.programs, 1);
    }
    CHECK_EQ(generation, 2);
    stop(rt, &s, has_threads);
}

TEST(a_reload_out_of_memory_changes_no_worker) { reload_without_memory(false); }

TEST(a_reload_out_of_memory_changes_no_worker_that_runs) { reload_without_memory(true); }
