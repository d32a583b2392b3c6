/* Lua as the language of configurations and policies. */
#include "router/language.h"
#include "script/config_lua.h"
#include "script/policy/policy_lua.h"

const struct peri_language peri_language_lua = { peri_config_lua_read, peri_policy_lua_source };
