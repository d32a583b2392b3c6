#include "net/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 1

/* gives the address's length, 0 when the name is none of a local socket */
static socklen_t address_of(struct sockaddr_un *to, const char *name) {
    size_t n = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof to->sun_path) return 0;
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, name, n);
    if (name[0] == '@') to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* A socket each time: a manager that starts anew has another one behind the same name. */
static enum peri_err send_message(const char *text) {
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to;
    if (name == NULL || name[0] == '\0') return PERI_OK;
    socklen_t length = address_of(&to, name);
    if (length == 0) return PERI_EINVAL;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return PERI_EIO;
    struct timeval wait = { WAIT_S, 0 };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    ssize_t n = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, length);
    int err = errno;
    close(fd);
    errno = err;
    return n >= 0 ? PERI_OK : PERI_EIO;
}

enum peri_err peri_notify_ready(void) { return send_message("READY=1"); }

enum peri_err peri_notify_reloaded(bool is_refused) {
    return send_message(is_refused
                            ? "READY=1\nSTATUS=The last reload was refused, its log line says why."
                            : "READY=1\nSTATUS=");
}

/* The time tells the manager that this is the reload it asked for. */
enum peri_err peri_notify_reloading(void) {
    struct timespec now;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    return send_message(text);
}

enum peri_err peri_notify_stopping(void) { return send_message("STOPPING=1"); }
