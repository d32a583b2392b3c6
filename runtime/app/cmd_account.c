/* `perilune keygen`, `address` and `sign`: an account without a router. None of them prints a private key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cli.h"
#include "base/err.h"
#include "base/file.h"
#include "crypto/encode.h"
#include "gonka/account.h"

#define KEY_FILE    "perilune.key"
#define KEY_DEFAULT "env:GONKA_PRIVATE_KEY"
#define BODY_MAX    (64u << 20)

struct wanted {
    const char *out, *key, *node, *timestamp, *body, *scheme;
    bool is_public;
};

/* A flag and where its value goes; a switch has no `value`. */
struct flag {
    const char *name;
    const char **value;
    bool *is_set;
};

static int parse(const struct flag *flags, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const struct flag *f = flags;
        size_t n = 0;
        for (; f->name != NULL; f++) {
            n = strlen(f->name);
            bool has_value = f->value != NULL && argv[i][0] != '\0' &&
                             strncmp(argv[i], f->name, n) == 0 && argv[i][n] == '=';
            if (has_value || strcmp(argv[i], f->name) == 0) break;
        }
        if (f->name == NULL)
            return peri_cli_usage(argv[0], "unknown argument '%s', see `perilune help %s`", argv[i],
                                  argv[0]);
        if (f->value == NULL)
            *f->is_set = true;
        else if (argv[i][n] == '=')
            *f->value = argv[i] + n + 1;
        else if (++i < argc)
            *f->value = argv[i];
        else
            return peri_cli_usage(argv[0], "%s takes a value", f->name);
    }
    return PERI_EXIT_OK;
}

static int complain(const char *verb, const struct peri_fault *fault) {
    fprintf(stderr, "perilune %s: %s\n", verb, fault->text);
    return PERI_EXIT_FAILED;
}

static int open_account(struct peri_account *a, const char *verb, const char *key) {
    struct peri_fault fault = { .text = "" };
    enum peri_err err = peri_account_open(a, peri_str_of(key), &peri_env_process, &fault);
    return err == PERI_OK ? PERI_EXIT_OK : complain(verb, &fault);
}

int peri_cmd_keygen(int argc, char **argv) {
    struct wanted w = { .out = KEY_FILE };
    const struct flag flags[] = { { "--out", &w.out, NULL }, { NULL, NULL, NULL } };
    int code = parse(flags, argc, argv);
    if (code != PERI_EXIT_OK) return code;
    struct peri_fault fault = { .text = "" };
    if (peri_account_create(peri_str_of(w.out), &fault) != PERI_OK)
        return complain("keygen", &fault);
    char source[4096 + 8];
    struct peri_account a;
    snprintf(source, sizeof source, "file:%s", w.out);
    if ((code = open_account(&a, "keygen", source)) != PERI_EXIT_OK) return code;
    printf("%s\n", a.wallet.address);
    peri_account_done(&a);
    return PERI_EXIT_OK;
}

int peri_cmd_address(int argc, char **argv) {
    struct wanted w = { .key = KEY_DEFAULT };
    const struct flag flags[] = { { "--key", &w.key, NULL },
                                  { "--public", NULL, &w.is_public },
                                  { NULL, NULL, NULL } };
    int code = parse(flags, argc, argv);
    struct peri_account a;
    if (code == PERI_EXIT_OK) code = open_account(&a, "address", w.key);
    if (code != PERI_EXIT_OK) return code;
    printf("%s\n", a.wallet.address);
    if (w.is_public) {
        char hex[2 * PERI_PUBLIC_BYTES];
        peri_hex_encode(hex,
                        (struct peri_str){ (const char *)a.wallet.public_key, PERI_PUBLIC_BYTES });
        printf("%.*s\n", (int)sizeof hex, hex);
    }
    peri_account_done(&a);
    return PERI_EXIT_OK;
}

static enum peri_err read_body(struct peri_buf *body, const char *path, struct peri_fault *fault) {
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    return peri_file_read(body, is_stdin ? PERI_STR("/dev/stdin") : peri_str_of(path), fault);
}

static int take_scheme(enum peri_gonka_scheme *scheme, const char *word) {
    static const char *const words[] = { "hashed", "raw_body", "body_only" };
    for (size_t i = 0; i < 3; i++)
        if (strcmp(words[i], word) == 0) {
            *scheme = (enum peri_gonka_scheme)i;
            return PERI_EXIT_OK;
        }
    return peri_cli_usage("sign", "--scheme is hashed, raw_body or body_only, got '%s'", word);
}

static int take_stamp(uint64_t *stamp, const char *text) {
    if (text == NULL) {
        *stamp = peri_clock_wall_ns(&peri_clock_real);
        return PERI_EXIT_OK;
    }
    if (peri_str_to_u64(stamp, peri_str_of(text)) == PERI_OK && *stamp > 0 && *stamp <= INT64_MAX)
        return PERI_EXIT_OK;
    return peri_cli_usage("sign", "--timestamp is nanoseconds since 1970, got '%s'", text);
}

static int sign(const struct wanted *w, enum peri_gonka_scheme scheme, uint64_t stamp) {
    struct peri_account a;
    struct peri_buf body;
    struct peri_gonka_signed values;
    struct peri_header headers[PERI_GONKA_HEADERS];
    struct peri_fault fault = { .text = "" };
    peri_buf_init(&body, BODY_MAX);
    enum peri_err err = read_body(&body, w->body, &fault);
    int code = err == PERI_OK ? open_account(&a, "sign", w->key) : complain("sign", &fault);
    if (code == PERI_EXIT_OK) {
        err = peri_gonka_sign(&values, a.hasher, a.signer, &a.wallet, scheme, peri_buf_str(&body),
                              stamp, peri_str_of(w->node));
        peri_gonka_headers(headers, &values, &a.wallet);
        for (size_t i = 0; i < PERI_GONKA_HEADERS && err == PERI_OK; i++)
            printf("%.*s: %.*s\n", PERI_STR_ARGS(headers[i].name), PERI_STR_ARGS(headers[i].value));
        peri_account_done(&a);
        if (err != PERI_OK) code = PERI_EXIT_FAILED;
    }
    peri_buf_done(&body);
    return code;
}

int peri_cmd_sign(int argc, char **argv) {
    struct wanted w = { .key = KEY_DEFAULT, .scheme = "hashed" };
    const struct flag flags[] = { { "--key", &w.key, NULL },
                                  { "--node", &w.node, NULL },
                                  { "--timestamp", &w.timestamp, NULL },
                                  { "--body", &w.body, NULL },
                                  { "--scheme", &w.scheme, NULL },
                                  { NULL, NULL, NULL } };
    enum peri_gonka_scheme scheme = PERI_GONKA_HASHED;
    uint64_t stamp = 0;
    int code = parse(flags, argc, argv);
    if (code == PERI_EXIT_OK) code = take_scheme(&scheme, w.scheme);
    if (code == PERI_EXIT_OK) code = take_stamp(&stamp, w.timestamp);
    if (code != PERI_EXIT_OK) return code;
    if (w.node == NULL || !peri_address_is_gonka(peri_str_of(w.node)))
        return peri_cli_usage("sign", "--node takes the address of the node that is called, "
                                      "gonka1…");
    return sign(&w, scheme, stamp);
}
