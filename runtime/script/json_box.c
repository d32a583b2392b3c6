#include "script/json_box.h"

#include "script/json_value.h"

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
    peri_json_watch(j, &box->watch);
}

void peri_json_box_account(lua_State *L, struct peri_json_box *box) {
    if (!box->is_ours) return;
    size_t now = peri_json_memory(box->j), grown = now > box->held ? now - box->held : 0;
    box->ledger->held += now - box->held;
    box->held = now;
    /* the collector is to run as if the memory were its own */
    struct peri_json_ledger *ledger = box->ledger;
    ledger->unseen += grown;
    if (ledger->unseen >= SEEN_BYTES) {
        lua_gc(L, LUA_GCSTEP, (int)(ledger->unseen / 1024));
        ledger->unseen = 0;
    }
    if (ledger->held <= ledger->max) return;
    lua_gc(L, LUA_GCCOLLECT);
    if (ledger->held > ledger->max)
        luaL_error(L, "documents hold more than %I bytes", (lua_Integer)ledger->max);
}

void peri_json_box_open(lua_State *L, struct peri_state *s) {
    static const luaL_Reg methods[] = { { "__gc", box_gc }, { NULL, NULL } };
    peri_json_keep_type(L, PERI_JSON_KEY_BOX, "perilune.json.document", methods);
    bool has_cap = s != NULL && s->options.heap_max != 0;
    struct peri_json_ledger *ledger = lua_newuserdatauv(L, sizeof *ledger, 0);
    *ledger =
        (struct peri_json_ledger){ .max = has_cap ? s->options.heap_max : LEDGER_MAX, .state = s };
    lua_rawsetp(L, LUA_REGISTRYINDEX, peri_json_key(PERI_JSON_KEY_LEDGER));
}
