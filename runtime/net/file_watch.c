#include "net/file_watch.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "net/loop_uv.h"

#define SETTLE_MS 20 /* an editor's several steps count as one change */

struct identity {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct file {
    char *path;
    struct identity seen;
};

struct folder {
    uv_fs_event_t event; /* first: freed through it */
    struct peri_file_watch *owner;
    char *path;
    struct folder *next;
};

struct peri_file_watch {
    struct peri_loop *loop;
    struct peri_timer settle;
    struct file *files;
    size_t count;
    struct folder *folders;
    void (*changed)(void *arg);
    void *arg;
};

static struct identity look(const char *path) {
    struct stat st;
    struct identity id;
    memset(&id, 0, sizeof id);
    if (stat(path, &st) != 0) return id;
    id.exists = true;
    id.device = st.st_dev;
    id.inode = st.st_ino;
    id.size = st.st_size;
    id.changed = st.st_mtim;
    return id;
}

static bool is_same(const struct identity *a, const struct identity *b) {
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static void on_settled(void *arg) {
    struct peri_file_watch *w = arg;
    bool is_changed = false;
    for (size_t i = 0; i < w->count; i++) {
        struct identity now = look(w->files[i].path);
        if (is_same(&now, &w->files[i].seen)) continue;
        w->files[i].seen = now;
        is_changed |= now.exists; /* one that is just missing is about to be written */
    }
    if (is_changed) w->changed(w->arg);
}

static bool is_watched(const struct peri_file_watch *w, const char *name) {
    for (size_t i = 0; i < w->count; i++) {
        const char *slash = strrchr(w->files[i].path, '/');
        if (strcmp(slash == NULL ? w->files[i].path : slash + 1, name) == 0) return true;
    }
    return false;
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status) {
    struct folder *f = event->data;
    (void)events, (void)status;
    /* A log that is written in the same folder all the time must not put the settling off for ever. */
    if (name == NULL || is_watched(f->owner, name)) peri_timer_start(&f->owner->settle, SETTLE_MS);
}

static void on_folder_closed(uv_handle_t *handle) {
    struct folder *f = handle->data;
    peri_free(f->path);
    peri_free(f);
}

static enum peri_err watch_folder(struct peri_file_watch *w, const char *file) {
    const char *slash = strrchr(file, '/');
    size_t n = slash == NULL ? 1 : slash == file ? 1 : (size_t)(slash - file);
    const char *text = slash == NULL ? "." : file;
    for (struct folder *f = w->folders; f != NULL; f = f->next)
        if (strlen(f->path) == n && memcmp(f->path, text, n) == 0) return PERI_OK;
    struct folder *f = peri_calloc(1, sizeof *f);
    char *path = peri_malloc(n + 1);
    if (f == NULL || path == NULL || uv_fs_event_init(peri_loop_uv(w->loop), &f->event) != 0) {
        peri_free(f);
        peri_free(path);
        return PERI_ENOMEM;
    }
    memcpy(path, text, n);
    path[n] = '\0';
    f->path = path;
    f->owner = w;
    f->event.data = f;
    f->next = w->folders;
    w->folders = f;
    uv_unref((uv_handle_t *)&f->event);
    return uv_fs_event_start(&f->event, on_event, path, 0) == 0 ? PERI_OK : PERI_EIO;
}

void peri_file_watch_close(struct peri_file_watch *w) {
    if (w == NULL) return;
    peri_timer_stop(&w->settle);
    for (struct folder *f = w->folders, *next; f != NULL; f = next) {
        next = f->next;
        uv_close((uv_handle_t *)&f->event, on_folder_closed);
    }
    for (size_t i = 0; i < w->count; i++) peri_free(w->files[i].path);
    peri_free(w->files);
    peri_free(w);
}

enum peri_err peri_file_watch_open(struct peri_file_watch **out, struct peri_loop *loop,
                                   const struct peri_str *paths, size_t count,
                                   void (*changed)(void *arg), void *arg) {
    struct peri_file_watch *w = peri_calloc(1, sizeof *w);
    if (w == NULL) return PERI_ENOMEM;
    w->loop = loop;
    w->changed = changed;
    w->arg = arg;
    peri_timer_init(&w->settle, loop, on_settled, w);
    w->files = peri_calloc(count + 1, sizeof *w->files);
    enum peri_err err = w->files == NULL ? PERI_ENOMEM : PERI_OK;
    for (size_t i = 0; i < count && err == PERI_OK; i++) {
        char *path = peri_malloc(paths[i].n + 1);
        if (path == NULL) {
            err = PERI_ENOMEM;
            break;
        }
        memcpy(path, paths[i].p, paths[i].n);
        path[paths[i].n] = '\0';
        w->files[w->count++] = (struct file){ path, look(path) };
        err = watch_folder(w, path);
    }
    if (err != PERI_OK) {
        peri_file_watch_close(w);
        return err;
    }
    *out = w;
    return PERI_OK;
}
