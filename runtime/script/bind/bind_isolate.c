/* peri.testbed.isolate: run a function in a process of its own. What it does to its process, by an abort, an endless loop
 * in C or too much memory, the caller is told of and outlives.
 *
 * The child is a copy of this process made by fork, so the function needs no loading; that is safe because a process that
 * runs tests has one thread. It talks to the caller in lines over a pipe. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "script/open.h"

#define CHILD_TYPE     "perilune.child"
#define LINE_MAX_BYTES (64u << 20)

/* The parent's end: a userdata, so that an error of the function that is told does not leave the child behind. */
struct child {
    pid_t pid; /* 0: waited for */
    int fd;    /* -1: closed */
    struct peri_buf in;
};

static void close_child(struct child *c, int *status) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    while (c->pid > 0 && waitpid(c->pid, status, 0) < 0 && errno == EINTR) {}
    c->pid = 0;
    peri_buf_done(&c->in);
}

static int child_gc(lua_State *L) {
    struct child *c = lua_touserdata(L, 1);
    int status;
    if (c->pid > 0) kill(c->pid, SIGKILL);
    close_child(c, &status);
    return 0;
}

static enum peri_err write_all(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return PERI_EIO;
        p += done;
        n -= (size_t)done;
    }
    return PERI_OK;
}

/* send(text): upvalue 1 is the pipe */
static int child_send(lua_State *L) {
    size_t n;
    const char *line = luaL_checklstring(L, 1, &n);
    int fd = (int)lua_tointeger(L, lua_upvalueindex(1));
    luaL_argcheck(L, memchr(line, '\n', n) == NULL, 1, "one line expected");
    fflush(stdout); /* what a test printed stands before what is said of it */
    if (write_all(fd, line, n) != PERI_OK || write_all(fd, "\n", 1) != PERI_OK) _exit(1);
    return 0;
}

/* In the child; never returns. stack: ms fn on_line */
static void run_child(lua_State *L, int fd) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, fd);
    lua_pushcclosure(L, child_send, 1);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    fflush(NULL);
    _exit(status == LUA_OK ? 0 : 1);
}

/* Tell of every whole line. stack: … on_line child */
static void tell_lines(lua_State *L, struct child *c) {
    char *end;
    while (c->in.n > 0 && (end = memchr(c->in.p, '\n', c->in.n)) != NULL) {
        size_t n = (size_t)(end - c->in.p);
        lua_pushvalue(L, 3);
        lua_pushlstring(L, c->in.p, n);
        peri_buf_drop(&c->in, n + 1);
        lua_call(L, 1, 0);
    }
}

/* Until the child has ended, or has said nothing for `ms`. gives false: it was killed for that */
static bool listen_to(lua_State *L, struct child *c, int ms) {
    char bytes[16384];
    for (;;) {
        struct pollfd ready = { .fd = c->fd, .events = POLLIN };
        int count = poll(&ready, 1, ms);
        if (count < 0 && errno == EINTR) continue;
        if (count == 0) {
            kill(c->pid, SIGKILL);
            return false;
        }
        ssize_t n = read(c->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return true;
        if (peri_buf_add(&c->in, (struct peri_str){ bytes, (size_t)n }) != PERI_OK)
            luaL_error(L, "out of memory");
        tell_lines(L, c);
    }
}

static int push_end(lua_State *L, int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    if (WIFSIGNALED(status))
        lua_pushfstring(L, "its process ended by signal %d (%s)", WTERMSIG(status),
                        strsignal(WTERMSIG(status)));
    else
        lua_pushfstring(L, "its process ended with exit code %d", WEXITSTATUS(status));
    return 2;
}

/* isolate(ms, fn, on_line) */
static int testbed_isolate(lua_State *L) {
    lua_Integer ms = luaL_checkinteger(L, 1);
    luaL_argcheck(L, ms >= 1 && ms <= 86400000, 1, "milliseconds, 1 to 86400000");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    struct child *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct child){ 0, -1, { 0 } };
    peri_buf_init(&c->in, LINE_MAX_BYTES);
    luaL_setmetatable(L, CHILD_TYPE);
    int ends[2];
    /* A program that the function starts and leaves behind must not keep the pipe open. */
    if (pipe2(ends, O_CLOEXEC) != 0) return peri_push_failure(L, PERI_EIO);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]), close(ends[1]);
        return peri_push_fault(L, PERI_ENOMEM, strerror(errno));
    }
    if (pid == 0) {
        close(ends[0]);
        run_child(L, ends[1]);
    }
    close(ends[1]);
    c->pid = pid;
    c->fd = ends[0];
    int status = 0;
    bool is_late = !listen_to(L, c, (int)ms);
    close_child(c, &status);
    if (!is_late) return push_end(L, status);
    lua_pushnil(L);
    lua_pushfstring(L, "was stopped: it took longer than %d ms", (int)ms);
    return 2;
}

void peri_bind_isolate_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg functions[] = { { "isolate", testbed_isolate }, { NULL, NULL } };
    luaL_newmetatable(L, CHILD_TYPE);
    lua_pushcfunction(L, child_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    peri_state_set_functions(L, s, functions);
}
