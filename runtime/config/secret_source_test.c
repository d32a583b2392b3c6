#include "config/secret_source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/test.h"

#define CANARY "canary-5eb63bbbe01eeed0"

static char folder[64];

static void make_folder(void) {
    strcpy(folder, "/tmp/perilune-secret-XXXXXX");
    if (mkdtemp(folder) == NULL) abort();
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_EQ(system(command), 0);
}

static void write_file(const char *name, const char *text, mode_t mode) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
    if (fchmod(fd, mode) != 0) abort();
    close(fd);
}

static const char *get(void *arg, const char *name) {
    (void)arg;
    return strcmp(name, "CREDENTIALS_DIRECTORY") == 0 ? folder : NULL;
}
static const struct peri_env env = { .get = get };

/* Reads "file:NAME" in the folder. gives the error; the text of the fault has the folder's name cut out. */
static enum peri_err read_source(const char *source, char value[64], char text[256]) {
    struct peri_secret_zone *zone = peri_secret_zone_new();
    struct peri_secret_box *box = peri_secret_box_new(&env);
    struct peri_secret secret = { 0 };
    struct peri_fault fault = { 0 };
    enum peri_err err =
        peri_secret_read(&secret, zone, box, peri_str_of(source), peri_str_of(folder), &fault);
    snprintf(value, 64, "%.*s", (int)secret.n, err == PERI_OK ? secret.p : "");
    text[0] = '\0';
    for (const char *p = fault.text; *p != '\0';) {
        size_t n = strlen(text);
        if (folder[0] != '\0' && strncmp(p, folder, strlen(folder)) == 0) {
            snprintf(text + n, 256 - n, "DIR");
            p += strlen(folder);
        } else {
            snprintf(text + n, 256 - n, "%c", *p++);
        }
    }
    CHECK(strstr(text, "canary") == NULL);
    peri_secret_box_free(box);
    peri_secret_zone_free(zone);
    return err;
}

static void accepted(const char *source) {
    char value[64], text[256];
    CHECK_EQ(read_source(source, value, text), PERI_OK);
    CHECK_STR(peri_str_of(value), CANARY);
}

static void refused(const char *source, enum peri_err err, const char *why) {
    char value[64], text[256];
    CHECK_EQ(read_source(source, value, text), err);
    CHECK_STR(peri_str_of(text), why);
}

TEST(secret_file_layouts) {
    char path[128], to[128];
    make_folder();
    write_file("good", CANARY "\n", 0600);
    accepted("file:good");
    write_file("strict", CANARY, 0400);
    accepted("file:strict");
    write_file("world", CANARY, 0644);
    refused("file:world", PERI_EDENIED,
            "secret file 'DIR/world' has mode 0644, others may reach it, fix: chmod 600 DIR/world");
    write_file("group", CANARY, 0640);
    refused("file:group", PERI_EDENIED,
            "secret file 'DIR/group' has mode 0640, others may reach it, fix: chmod 600 DIR/group");
    write_file("written", CANARY, 0620);
    refused(
        "file:written", PERI_EDENIED,
        "secret file 'DIR/written' has mode 0620, others may reach it, fix: chmod 600 DIR/written");
    /* A link within the folder is how Kubernetes mounts secrets; one out of it is somebody else's choice. */
    snprintf(path, sizeof path, "%s/inner", folder);
    CHECK_EQ(symlink("good", path), 0);
    accepted("file:inner");
    snprintf(path, sizeof path, "%s/sub", folder);
    CHECK_EQ(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/sub/outer", folder);
    CHECK_EQ(symlink("../good", path), 0);
    refused("file:sub/outer", PERI_EDENIED,
            "secret file 'DIR/sub/outer' is a symbolic link to another directory, fix: name the "
            "file itself");
    snprintf(path, sizeof path, "%s/dangling", folder);
    CHECK_EQ(symlink("nothing", path), 0);
    refused("file:dangling", PERI_ENOTFOUND,
            "secret file 'DIR/dangling' is a symbolic link that leads nowhere");
    snprintf(path, sizeof path, "%s/pipe", folder);
    CHECK_EQ(mkfifo(path, 0600), 0);
    refused("file:pipe", PERI_EDENIED, "secret 'DIR/pipe' is not a regular file");
    refused("file:sub", PERI_EDENIED, "secret 'DIR/sub' is not a regular file");
    refused("file:missing", PERI_ENOTFOUND,
            "secret file 'DIR/missing' can not be opened: No such file or directory");
    snprintf(path, sizeof path, "%s/open", folder);
    CHECK_EQ(mkdir(path, 0700), 0);
    write_file("open/key", CANARY, 0600);
    CHECK_EQ(chmod(path, 0777), 0);
    refused("file:open/key", PERI_EDENIED,
            "secret file 'DIR/open/key' is in a directory anybody may write to, fix: chmod o-w "
            "DIR/open");
    CHECK_EQ(chmod(path, 01777), 0);
    accepted("file:open/key");
    snprintf(to, sizeof to, "%s/foreign", folder);
    write_file("foreign", CANARY, 0600);
    if (geteuid() == 0 && chown(to, 12345, 0) == 0)
        refused("file:foreign", PERI_EDENIED,
                "secret file 'DIR/foreign' belongs to another user (uid 12345), fix: chown 0 "
                "DIR/foreign");
    else
        printf("skipped: only root can give a file to another user\n");
    remove_folder();
}

TEST(secret_file_contents) {
    static char large[PERI_SECRET_MAX + 2];
    make_folder();
    write_file("empty", "", 0600);
    refused("file:empty", PERI_EINVAL, "secret file 'DIR/empty' is empty");
    write_file("newline", "\n", 0600);
    refused("file:newline", PERI_EINVAL, "secret file 'DIR/newline' is empty");
    write_file("crlf", CANARY "\r\n", 0600);
    accepted("file:crlf");
    write_file("lines", CANARY "\n" CANARY "\n", 0600);
    refused("file:lines", PERI_EINVAL,
            "secret file 'DIR/lines' has more than one line, expected the secret alone");
    write_file("control", CANARY "\x01", 0600);
    refused("file:control", PERI_EINVAL,
            "secret file 'DIR/control' has a control character, expected text");
    memset(large, 'x', sizeof large - 1);
    write_file("large", large, 0600);
    refused("file:large", PERI_EINVAL, "secret file 'DIR/large' is larger than 65536 bytes");
    refused("file:", PERI_EINVAL, "'file:' names no file");
    refused("plain", PERI_EINVAL,
            "a secret comes from \"env:NAME\", \"file:PATH\" or \"cred:NAME\"");
    refused("env:UNSET", PERI_ENOTFOUND, "the environment variable UNSET is not set or empty");
    remove_folder();
}

TEST(secret_credentials_come_from_systemd) {
    make_folder();
    write_file("token", CANARY, 0440); /* the group bit is how an access list looks */
    accepted("cred:token");
    refused("cred:../token", PERI_EINVAL, "credential '../token' is no plain name");
    refused("cred:", PERI_EINVAL, "credential '' is no plain name");
    refused("cred:none", PERI_ENOTFOUND,
            "secret file 'DIR/none' can not be opened: No such file or directory");
    remove_folder();
    folder[0] = '\0';
    refused("cred:token", PERI_ENOTFOUND,
            "credential 'token' can not be read, CREDENTIALS_DIRECTORY is not set: expected a "
            "start by systemd with "
            "LoadCredential=token:PATH");
}

static bool environ_shows(const char *text) {
    static char bytes[1 << 16];
    int fd = open("/proc/self/environ", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    if (fd >= 0) close(fd);
    return n > 0 && memmem(bytes, (size_t)n, text, strlen(text)) != NULL;
}

/* The kernel shows the block the process started with, so this needs a process that starts with the variable. */
TEST(secret_variables_vanish_from_the_environment) {
    if (getenv("PERI_SECRET_CHILD") == NULL) {
        char *const argv[] = { "secret_source_test", "vanish", NULL };
        char *const envp[] = { "PERI_SECRET_CHILD=1", "PERI_CANARY=" CANARY, "PATH=/usr/bin:/bin",
                               NULL };
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            execve("/proc/self/exe", argv, envp);
            _exit(127);
        }
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        return;
    }
    struct peri_secret_box *box = peri_secret_box_new(&peri_env_process);
    struct peri_str value;
    CHECK(environ_shows(CANARY));
    CHECK_EQ(peri_secret_box_variable(box, PERI_STR("PERI_CANARY"), &value), PERI_OK);
    CHECK_STR(value, CANARY);
    CHECK(getenv("PERI_CANARY") == NULL);
    CHECK(!environ_shows(CANARY));
    /* A reload asks again. */
    CHECK_EQ(peri_secret_box_variable(box, PERI_STR("PERI_CANARY"), &value), PERI_OK);
    CHECK_STR(value, CANARY);
    CHECK_EQ(setenv("PERI_CANARY", "another", 1), 0);
    CHECK_EQ(peri_secret_box_variable(box, PERI_STR("PERI_CANARY"), &value), PERI_OK);
    CHECK_STR(value, "another");
    CHECK_EQ(peri_secret_box_variable(box, PERI_STR("PERI_NOT_SET"), &value), PERI_ENOTFOUND);
    peri_secret_box_free(box);
}

TEST(secret_zone_keeps_secrets_of_any_size) {
    struct peri_secret_zone *zone = peri_secret_zone_new();
    char *before = NULL;
    for (size_t n = 0; n < 70000; n = n * 2 + 1) {
        char *p = peri_secret_zone_alloc(zone, n);
        CHECK(p != NULL && p != before);
        memset(p, 'k', n);
        CHECK_EQ(p[n], 0);
        before = p;
    }
    CHECK(peri_secret_zone_alloc(zone, SIZE_MAX) == NULL);
    peri_secret_zone_free(zone);
}

/* The pages must not appear in a core dump: the kernel says so in the flags of the mapping ("dd"). */
TEST(secret_zone_stays_out_of_core_dumps) {
    struct peri_secret_zone *zone = peri_secret_zone_new();
    char *p = peri_secret_zone_alloc(zone, 32), line[512];
    bool is_ours = false, is_excluded = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_ours = (unsigned long)p >= from && (unsigned long)p < to;
        if (is_ours && strncmp(line, "VmFlags:", 8) == 0) is_excluded = strstr(line, " dd") != NULL;
    }
    if (f != NULL) fclose(f);
    CHECK(is_excluded);
    peri_secret_zone_free(zone);
}
