/* TLS against `openssl s_server` with certificates made here: loopback only, gone with the test. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "net/client/upstream_test.h"

static char dir[] = "/tmp/perilune-tls-XXXXXX";

static void run(const char *format, ...) PERI_PRINTF(1, 2);

static void run(const char *format, ...) {
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        abort();
    }
}

__attribute__((constructor)) static void make_dir(void) {
    if (mkdtemp(dir) == NULL) abort();
}

__attribute__((destructor)) static void remove_dir(void) { run("rm -r %s", dir); }

/* One certificate authority, and a certificate of it for each name. */
static void make_certificates(void) {
    static const char *const names[][2] = { { "good", "IP:127.0.0.1" }, { "other", "DNS:h.test" } };
    static bool are_made;
    if (are_made) return;
    are_made = true;
    run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "
        "2 "
        "-subj /CN=perilune-test -keyout ca.key -out ca.pem 2>/dev/null",
        dir);
    for (size_t i = 0; i < 2; i++)
        run("cd %s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "
            "/CN=x "
            "-keyout %s.key -out %s.csr 2>/dev/null && echo subjectAltName=%s >%s.ext && "
            "openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-extfile %s.ext -out %s.pem 2>/dev/null",
            dir, names[i][0], names[i][0], names[i][1], names[i][0], names[i][0], names[i][0],
            names[i][0]);
    /* Valid for no day at all. */
    run("cd %s && openssl x509 -req -in good.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 "
        "-extfile good.ext -out expired.pem 2>/dev/null && cp good.key expired.key",
        dir);
}

struct tls {
    struct bench b;
    pid_t pid;
    struct peri_url *url;
    char ca[128];
};

static void tls_open(struct tls *t, const char *certificate) {
    int out[2];
    char cert[128], key[128], line[256];
    unsigned port = 0;
    make_certificates();
    bench_open(&t->b, OK_5);
    snprintf(cert, sizeof cert, "%s/%s.pem", dir, certificate);
    snprintf(key, sizeof key, "%s/%s.key", dir, certificate);
    snprintf(t->ca, sizeof t->ca, "%s/ca.pem", dir);
    if (pipe(out) != 0 || (t->pid = fork()) < 0) abort();
    if (t->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        dup2(open("/dev/null", O_RDWR), 2);
        close(out[0]);
        execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key",
               key, "-www", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    while (port == 0 && fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
    CHECK(port != 0);
    snprintf(line, sizeof line, "https://127.0.0.1:%u/", port);
    CHECK_EQ(peri_url_parse(&t->url, peri_str_of(line), NULL), PERI_OK);
    fclose(f);
    t->b.spec = (struct peri_call_spec){ .url = t->url, .method = PERI_STR("GET") };
}

static void tls_close(struct tls *t) {
    kill(t->pid, SIGKILL);
    waitpid(t->pid, NULL, 0);
    peri_url_unref(t->url);
    bench_close(&t->b);
}

static void check_refused(struct tls *t, const char *says) {
    bench_run(&t->b);
    CHECK_EQ(t->b.seen.report.err, PERI_ETLS);
    CHECK(strstr(t->b.seen.report.detail, says) != NULL);
    if (strstr(t->b.seen.report.detail, says) == NULL)
        fprintf(stderr, "  says: %s\n", t->b.seen.report.detail);
    CHECK(!t->b.seen.report.was_sent);
    CHECK_EQ(t->b.seen.heads, 0);
}

TEST(a_certificate_of_a_trusted_authority_is_accepted) {
    struct tls t;
    tls_open(&t, "good");
    t.b.spec.ca_file = peri_str_of(t.ca);
    bench_run(&t.b);
    CHECK_EQ(t.b.seen.report.err, PERI_OK);
    CHECK_EQ(t.b.seen.status, 200);
    tls_close(&t);
}

TEST(an_unknown_authority_is_refused_also_after_it_was_trusted_once) {
    struct tls t;
    tls_open(&t, "good");
    check_refused(&t, "certificate");
    t.b.spec.ca_file = peri_str_of(t.ca);
    bench_run(&t.b);
    CHECK_EQ(t.b.seen.report.err, PERI_OK);
    t.b.spec.ca_file = PERI_STR("");
    check_refused(&t, "certificate");
    tls_close(&t);
}

TEST(another_file_of_authorities_counts_from_the_next_call_on) {
    struct tls t;
    char bundle[160];
    tls_open(&t, "good");
    t.b.spec.ca_file = peri_str_of(t.ca);
    bench_run(&t.b);
    CHECK_EQ(t.b.seen.report.err, PERI_OK);
    snprintf(bundle, sizeof bundle, "%s/expired.pem", dir);
    t.b.spec.ca_file = peri_str_of(bundle);
    check_refused(&t, "certificate");
    tls_close(&t);
}

TEST(a_certificate_for_another_name_is_refused) {
    struct tls t;
    tls_open(&t, "other");
    t.b.spec.ca_file = peri_str_of(t.ca);
    check_refused(&t, "name");
    tls_close(&t);
}

TEST(an_expired_certificate_is_refused) {
    struct tls t;
    tls_open(&t, "expired");
    t.b.spec.ca_file = peri_str_of(t.ca);
    check_refused(&t, "expired");
    tls_close(&t);
}

TEST(insecure_is_a_property_of_one_call) {
    struct tls t;
    tls_open(&t, "other");
    t.b.spec.is_insecure = true;
    bench_run(&t.b);
    CHECK_EQ(t.b.seen.report.err, PERI_OK);
    t.b.spec.is_insecure = false;
    check_refused(&t, "certificate");
    tls_close(&t);
}

TEST(a_missing_authority_file_is_a_tls_error) {
    struct tls t;
    tls_open(&t, "good");
    t.b.spec.ca_file = PERI_STR("/nonexistent/ca.pem");
    check_refused(&t, "/nonexistent/ca.pem");
    tls_close(&t);
}

TEST(plain_text_where_tls_is_expected_is_a_tls_error_and_sends_nothing) {
    struct bench b;
    char text[64];
    struct peri_url *u;
    bench_open(&b, OK_5);
    snprintf(text, sizeof text, "https://127.0.0.1:%u/", b.up.port);
    CHECK_EQ(peri_url_parse(&u, peri_str_of(text), NULL), PERI_OK);
    b.spec.url = u;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.up.last != NULL);
    line_send(b.up.last, OK_5);
    UNTIL(b.loop, b.seen.dones == 1);
    CHECK_EQ(b.seen.report.err, PERI_ETLS);
    CHECK_EQ(b.up.requests, 0);
    peri_url_unref(u);
    bench_close(&b);
}

TEST(a_handshake_that_stalls_ends_at_the_connect_time) {
    struct bench b;
    char text[64];
    struct peri_url *u;
    bench_open(&b, OK_5);
    snprintf(text, sizeof text, "https://127.0.0.1:%u/", b.up.port);
    CHECK_EQ(peri_url_parse(&u, peri_str_of(text), NULL), PERI_OK);
    b.spec.url = u;
    b.spec.connect_ms = 300;
    CHECK_EQ(seen_start(&b.seen, b.client, &b.spec), PERI_OK);
    UNTIL(b.loop, b.up.last != NULL);
    TURNS(b.loop, 3);
    peri_loop_advance(b.loop, 300);
    CHECK_EQ(b.seen.report.err, PERI_ETIMEOUT);
    TURNS(b.loop, 2);
    CHECK_EQ(b.up.gone, 1);
    peri_url_unref(u);
    bench_close(&b);
}
