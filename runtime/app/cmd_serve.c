/* `perilune serve`: workers on their threads, and this thread for what is not urgent: signals, changed files, reload.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/file_watch.h"
#include "net/notify.h"
#include "router/router.h"

struct serve {
    struct peri_cli_config cli;
    struct peri_router *router;
    struct peri_loop *loop;
    struct peri_file_watch *watch;
    struct peri_timer look; /* for the workers' end */
    unsigned stops;
    bool is_unwatched; /* not said yet */
};

/* A manager that does not hear us ends the process in the end: its operator must see why. */
static void check_notified(struct serve *s, enum peri_err err) {
    if (err == PERI_OK) return;
    const char *why = err == PERI_EINVAL ? "it names no local socket" : strerror(errno);
    struct peri_log *log = &s->router->runtime->logs.of[PERI_COMPONENT_SERVER];
    peri_log_say(log, PERI_LOG_WARN, "the service manager at NOTIFY_SOCKET was not told: %s", why);
    peri_log_flush(log);
}

/* ---- Reload ---- */

static void say_reload(struct serve *s, enum peri_err err, uint64_t generation,
                       const struct peri_fault *fault) {
    struct peri_log *log = &s->router->runtime->logs.of[PERI_COMPONENT_CONFIG];
    bool is_on = err == PERI_OK ? peri_log_begin(log, PERI_LOG_INFO, "reloaded")
                                : peri_log_begin(log, PERI_LOG_ERROR,
                                                 "reload refused, the old generation stays");
    if (is_on) {
        if (err == PERI_OK)
            peri_log_int(log, "generation", (int64_t)generation);
        else
            peri_log_str(log, "error", peri_str_of(fault->text));
        peri_log_end(log);
    }
    peri_log_flush(log);
}

static void on_files_changed(void *arg) {
    struct serve *s = arg;
    struct peri_fault fault;
    uint64_t generation = 0;
    enum peri_err err = peri_runtime_reload_policies(s->router->runtime, &generation, &fault);
    say_reload(s, err, generation, &fault);
}

/* Before the files are read, so that no change falls between. */
static void watch_files(struct serve *s, const struct peri_config *c) {
    struct peri_str paths[64];
    size_t count = 0;
    peri_file_watch_close(s->watch);
    s->watch = NULL;
    if (!c->watch_policies) return;
    for (size_t i = 0; i < c->policy_count && count < 64; i++) paths[count++] = c->policies[i].path;
    if (count == 0) return;
    if (peri_file_watch_open(&s->watch, s->loop, paths, count, on_files_changed, s) != PERI_OK)
        s->is_unwatched = true;
}

static void say_unwatched(struct serve *s) {
    if (s->is_unwatched)
        peri_log_say(&s->router->runtime->logs.of[PERI_COMPONENT_CONFIG], PERI_LOG_WARN,
                     "policy files can not be watched: reload them with SIGHUP");
    s->is_unwatched = false;
}

static void reload_all(struct serve *s) {
    struct peri_config *config;
    struct peri_log *log = &s->router->runtime->logs.of[PERI_COMPONENT_CONFIG];
    struct peri_fault fault;
    uint64_t generation = 0;
    check_notified(s, peri_notify_reloading());
    enum peri_err err = peri_cli_config_reload(&s->cli, &config, log, &fault);
    if (err == PERI_OK) {
        watch_files(s, config);
        err = peri_router_reconfigure(s->router, config, &generation, &fault);
        if (err != PERI_OK) watch_files(s, s->router->home.config);
        peri_config_unref(config);
    }
    say_unwatched(s);
    say_reload(s, err, generation, &fault);
    check_notified(s, peri_notify_reloaded(err != PERI_OK));
}

/* ---- Signals ---- */

static void reopen_log(struct serve *s) {
    struct peri_log *log = &s->router->runtime->logs.of[PERI_COMPONENT_SERVER];
    struct peri_fault fault;
    enum peri_err err = peri_runtime_reopen_log(s->router->runtime, &fault);
    if (err != PERI_OK)
        peri_log_say(log, PERI_LOG_ERROR, "the log file can not be reopened: %s", fault.text);
    else
        peri_log_say(log, PERI_LOG_INFO, "log file reopened");
    peri_log_flush(log);
}

static void stop(struct serve *s) {
    if (s->stops++ > 0) _exit(PERI_EXIT_FAILED); /* asked twice: at once */
    peri_router_stop(s->router);
    check_notified(s, peri_notify_stopping());
}

static void on_signal(int signum, void *arg) {
    struct serve *s = arg;
    switch (signum) {
    case SIGHUP:
        if (s->stops == 0) reload_all(s);
        break;
    case SIGUSR1: reopen_log(s); break;
    default: stop(s); break;
    }
}

/* Before the router is there: a signal of the start is answered when the loop runs, and none of them kills. */
static enum peri_err watch_signals(struct serve *s) {
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
    enum peri_err err = PERI_OK;
    for (size_t i = 0; i < sizeof signals / sizeof *signals && err == PERI_OK; i++)
        err = peri_loop_on_signal(s->loop, signals[i], on_signal, s);
    return err;
}

static void on_look(void *arg) {
    struct serve *s = arg;
    if (atomic_load(&s->router->runtime->running) == 0)
        peri_loop_stop(s->loop);
    else
        peri_timer_start(&s->look, 20);
}

/* ---- Start ---- */

/* Credentials are in this process: no core file may hold them, and nobody of the same user may read it. */
static void harden(void) {
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* until the loop takes it */
    signal(SIGUSR2, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void say_ready(struct serve *s) {
    struct peri_runtime *rt = s->router->runtime;
    struct peri_log *log = &rt->logs.of[PERI_COMPONENT_SERVER];
    struct peri_fleet *fleet =
        peri_runtime_fleet(rt); /* networks may publish the next one any time */
    for (size_t i = 0; i < rt->config->listen_count; i++) {
        if (!peri_log_begin(log, PERI_LOG_INFO, "listening")) continue;
        peri_log_str(log, "address", rt->config->listen[i]);
        peri_log_int(log, "port", peri_router_port(s->router, i));
        peri_log_int(log, "workers", rt->worker_count);
        peri_log_int(log, "providers", (int64_t)fleet->provider_count);
        peri_log_int(log, "policies", (int64_t)rt->config->policy_count);
        peri_log_end(log);
    }
    peri_fleet_unref(fleet);
    if (rt->config->key_count == 0)
        peri_log_say(
            log, PERI_LOG_WARN,
            "no client keys are configured: anyone who reaches this address may use the providers");
    peri_log_flush(log);
}

static int serve(struct serve *s) {
    struct peri_config *config;
    int code = peri_cli_config_load(&s->cli, &config, NULL);
    if (code != PERI_EXIT_OK) return code;
    struct peri_fault fault;
    enum peri_err err = peri_loop_new(&s->loop);
    if (err == PERI_OK) err = watch_signals(s);
    if (err != PERI_OK) {
        peri_fault_set(&fault, err, "%s", peri_err_text(err));
    } else {
        watch_files(s, config);
        err = peri_router_new_with(&s->router, config, NULL, &fault);
    }
    peri_config_unref(config);
    if (err == PERI_OK) err = peri_router_start(s->router, &fault);
    if (err != PERI_OK) {
        fprintf(stderr, "perilune serve: %s\n", fault.text);
        return err == PERI_ECONFIG || err == PERI_EPOLICY || err == PERI_EBUDGET ||
                       err == PERI_ENOTFOUND
                   ? PERI_EXIT_CONFIG
                   : PERI_EXIT_FAILED;
    }
    say_ready(s);
    say_unwatched(s);
    check_notified(s, peri_notify_ready());
    peri_timer_init(&s->look, s->loop, on_look, s);
    peri_timer_start(&s->look, 20);
    peri_loop_run(s->loop);
    peri_router_join(s->router);
    return PERI_EXIT_OK;
}

int peri_cmd_serve(int argc, char **argv) {
    struct serve s = { .stops = 0 };
    harden();
    if (peri_cli_config_init(&s.cli) != PERI_OK) return PERI_EXIT_FAILED;
    int code = PERI_EXIT_OK;
    for (int i = 1; i < argc && code == PERI_EXIT_OK;) {
        int taken = peri_cli_config_take(&s.cli, argc, argv, &i);
        if (taken < 0)
            code = PERI_EXIT_USAGE;
        else if (taken == 0)
            code = peri_cli_usage("serve", "unknown argument '%s'", argv[i]);
    }
    if (code == PERI_EXIT_OK) code = serve(&s);
    peri_file_watch_close(s.watch);
    peri_loop_free(s.loop);
    peri_router_free(s.router);
    peri_cli_config_done(&s.cli);
    return code;
}
