#include "script/bind/json_box.h"

#include "base/mem.h"
#include "script/bind/json_value.h"

/* What all documents made by scripts of one state may hold, beside Lua's own heap: as much again as that may, or
 * this where that has no cap. The collector does not see their memory, so a script could hoard it. */
#define LEDGER_MAX 67108864
/* The collector is told in portions of it. */
#define SEEN_BYTES 65536
/* A Lua instruction takes about as long as 32 bytes take to be scanned, decoded or written. */
#define BYTES_PER_STEP 32

struct peri_json_ledger {
    size_t held, max;
    size_t unseen;            /* bytes taken since the collector was last told */
    struct peri_state *state; /* NULL: nothing is charged */
    struct peri_list shares;
};

/* What scripts of one state added to a document of C's. It ends with the document, or with the state. */
struct share {
    struct peri_json_watch watch;
    struct peri_list link; /* among those of the ledger */
    struct peri_json_ledger *ledger;
    size_t first, held;
};

static struct peri_json_ledger *ledger_of(lua_State *L) {
    peri_json_push_kept(L, PERI_JSON_KEY_LEDGER);
    struct peri_json_ledger *ledger = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return ledger;
}

void peri_json_charge(lua_State *L, size_t bytes) {
    struct peri_state *s = ledger_of(L)->state;
    if (s != NULL) peri_budget_charge(&s->budget, L, 1 + bytes / BYTES_PER_STEP);
}

bool peri_json_has_time(void *L) {
    struct peri_state *s = ledger_of(L)->state;
    return s == NULL || peri_budget_take(&s->budget, PERI_JSON_ASK_NODES);
}

static void on_document_end(struct peri_json_watch *watch) {
    struct peri_json_box *box = peri_list_entry(watch, struct peri_json_box, watch);
    box->j = NULL;
    box->ledger->held -= box->held;
    box->held = 0;
}

void peri_json_box_let_go(struct peri_json_box *box) {
    struct peri_json *j = box->j;
    if (j == NULL) return;
    if (box->is_ours) {
        peri_json_free(j); /* which tells the box */
        return;
    }
    peri_list_remove(&box->watch.link);
    on_document_end(&box->watch);
}

static int box_gc(lua_State *L) {
    peri_json_box_let_go(lua_touserdata(L, 1));
    return 0;
}

struct peri_json_box *peri_json_push_box(lua_State *L) {
    struct peri_json_box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct peri_json_box){ .watch.on_end = on_document_end, .ledger = ledger_of(L) };
    peri_json_push_kept(L, PERI_JSON_KEY_BOX);
    lua_setmetatable(L, -2);
    return box;
}

void peri_json_box_fill(struct peri_json_box *box, struct peri_json *j, bool is_ours) {
    box->j = j;
    box->is_ours = is_ours;
    box->first = peri_json_memory(j);
    peri_json_watch(j, &box->watch);
}

static void end_share(struct share *share) {
    share->ledger->held -= share->held;
    peri_list_remove(&share->link);
    peri_free(share);
}

static void on_shared_end(struct peri_json_watch *watch) {
    end_share(peri_list_entry(watch, struct share, watch));
}

static bool is_share_of(const struct peri_json_watch *watch, const void *ledger) {
    return watch->on_end == on_shared_end &&
           peri_list_entry(watch, const struct share, watch)->ledger == ledger;
}

/* NULL when memory ran out. */
static struct share *share_of(const struct peri_json_box *box) {
    struct peri_json_watch *watch = peri_json_watcher(box->j, box->ledger, is_share_of);
    if (watch != NULL) return peri_list_entry(watch, struct share, watch);
    struct share *share = peri_calloc(1, sizeof *share);
    if (share == NULL) return NULL;
    share->watch.on_end = on_shared_end;
    share->ledger = box->ledger;
    share->first = box->first;
    peri_json_watch(box->j, &share->watch);
    peri_list_insert(&box->ledger->shares, &share->link);
    return share;
}

bool peri_json_may_grow(lua_State *L, size_t bytes) {
    struct peri_json_ledger *ledger = ledger_of(L);
    if (bytes <= ledger->max && ledger->held <= ledger->max - bytes) return true;
    lua_gc(L, LUA_GCCOLLECT);
    return bytes <= ledger->max && ledger->held <= ledger->max - bytes;
}

void peri_json_refuse_room(lua_State *L) {
    luaL_error(L, "documents hold more than %I bytes", (lua_Integer)ledger_of(L)->max);
}

size_t peri_json_room(lua_State *L) {
    const struct peri_json_ledger *ledger = ledger_of(L);
    return ledger->held < ledger->max ? ledger->max - ledger->held : 0;
}

size_t peri_json_held(lua_State *L) { return ledger_of(L)->held; }

void peri_json_box_account(lua_State *L, struct peri_json_box *box) {
    struct peri_json_ledger *ledger = box->ledger;
    size_t now = peri_json_memory(box->j), *held = &box->held;
    if (!box->is_ours) {
        if (now <= box->first) return;
        struct share *share = share_of(box);
        if (share == NULL) luaL_error(L, "out of memory");
        now = now > share->first ? now - share->first : 0;
        held = &share->held;
    }
    size_t grown = now > *held ? now - *held : 0;
    ledger->held += now - *held;
    *held = now;
    /* the collector is to run as if the memory were its own */
    ledger->unseen += grown;
    if (ledger->unseen >= SEEN_BYTES) {
        lua_gc(L, LUA_GCSTEP, (int)(ledger->unseen / 1024));
        ledger->unseen = 0;
    }
    if (!peri_json_may_grow(L, 0)) peri_json_refuse_room(L);
}

static void on_work(struct peri_pace *pace, size_t units) {
    peri_json_charge(((struct peri_json_pace *)pace)->L, units * BYTES_PER_STEP);
}

struct peri_json_pace peri_json_pace(lua_State *L) {
    return (struct peri_json_pace){ .pace.on_work = on_work, .L = L };
}

/* The state ends before documents do. */
static int ledger_gc(lua_State *L) {
    struct peri_json_ledger *ledger = lua_touserdata(L, 1);
    while (!peri_list_is_empty(&ledger->shares)) {
        struct share *share = peri_list_entry(ledger->shares.next, struct share, link);
        peri_list_remove(&share->watch.link);
        end_share(share);
    }
    return 0;
}

void peri_json_box_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg methods[] = { { "__gc", box_gc }, { NULL, NULL } };
    peri_json_keep_type(L, PERI_JSON_KEY_BOX, "perilune.json.document", methods);
    bool has_cap = s != NULL && s->options.heap_max != 0;
    struct peri_json_ledger *ledger = lua_newuserdatauv(L, sizeof *ledger, 0);
    *ledger =
        (struct peri_json_ledger){ .max = has_cap ? s->options.heap_max : LEDGER_MAX, .state = s };
    peri_list_init(&ledger->shares);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, ledger_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, peri_json_key(PERI_JSON_KEY_LEDGER));
}
