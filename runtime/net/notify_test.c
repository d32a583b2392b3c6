/* Messages to a service manager's socket. */
#include "net/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/test.h"

struct manager {
    int fd;
    char name[64], got[256];
};

/* An abstract socket of a number that the system gives, so that test runs do not meet. */
static void manager_open(struct manager *m) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    socklen_t n = sizeof at;
    memset(m, 0, sizeof *m);
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(m->fd >= 0);
    CHECK_EQ(bind(m->fd, (struct sockaddr *)&at, sizeof at.sun_family), 0);
    CHECK_EQ(getsockname(m->fd, (struct sockaddr *)&at, &n), 0);
    m->name[0] = '@';
    memcpy(m->name + 1, at.sun_path + 1, n - offsetof(struct sockaddr_un, sun_path) - 1);
    setenv("NOTIFY_SOCKET", m->name, 1);
}

static const char *take(struct manager *m) {
    ssize_t n = recv(m->fd, m->got, sizeof m->got - 1, 0);
    m->got[n < 0 ? 0 : n] = '\0';
    return m->got;
}

static void manager_close(struct manager *m) {
    close(m->fd);
    unsetenv("NOTIFY_SOCKET");
}

TEST(notify_tells_an_abstract_socket) {
    struct manager m;
    manager_open(&m);
    CHECK_EQ(peri_notify_ready(), PERI_OK);
    CHECK(strcmp(take(&m), "READY=1") == 0);
    CHECK_EQ(peri_notify_reloading(), PERI_OK);
    unsigned long long us = 0;
    CHECK_EQ(sscanf(take(&m), "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
    CHECK(us > 0);
    CHECK_EQ(peri_notify_reloaded(true), PERI_OK);
    CHECK(strncmp(take(&m), "READY=1\nSTATUS=The last reload was refused", 42) == 0);
    CHECK_EQ(peri_notify_reloaded(false), PERI_OK);
    CHECK(strcmp(take(&m), "READY=1\nSTATUS=") == 0);
    CHECK_EQ(peri_notify_stopping(), PERI_OK);
    CHECK(strcmp(take(&m), "STOPPING=1") == 0);
    manager_close(&m);
}

TEST(notify_says_when_nobody_takes_it) {
    struct manager m;
    char name[64];
    manager_open(&m);
    memcpy(name, m.name, sizeof name);
    manager_close(&m);
    CHECK_EQ(peri_notify_ready(), PERI_OK); /* not asked for */
    setenv("NOTIFY_SOCKET", name, 1);
    CHECK_EQ(peri_notify_ready(), PERI_EIO);
    static const char *const wrong[] = { "run/notify", "@", "/", "vsock:2:1234" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("NOTIFY_SOCKET", wrong[i], 1);
        CHECK_EQ(peri_notify_ready(), PERI_EINVAL);
    }
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[0] = '/', longer[sizeof longer - 1] = '\0';
    setenv("NOTIFY_SOCKET", longer, 1);
    CHECK_EQ(peri_notify_ready(), PERI_EINVAL);
    setenv("NOTIFY_SOCKET", "", 1);
    CHECK_EQ(peri_notify_ready(), PERI_OK);
    unsetenv("NOTIFY_SOCKET");
}
