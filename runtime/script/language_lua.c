/* Lua as the language of configurations and policies. */
#include "core/language.h"
#include "script/config_lua.h"
#include "script/policy_lua.h"

const struct peri_language peri_language_lua = { peri_config_lua_read, peri_policy_lua_source };
