--- `perilune check` seen from outside: what it accepts, and every message about what it refuses.
local cjson = require "cjson"
local support = require "spec.support.check"

local check, perilune, write, faults, open_folder, close_folder =
  support.lua, support.perilune, support.write, support.faults, support.open, support.close
local canary, wallet = support.canary, support.wallet

describe("perilune check", function()
  before_each(open_folder)
  after_each(close_folder)

  it("accepts a configuration with two providers and a policy", function()
    local code, out = check([[
      return {
        providers = {
          { id = "openai", url = "https://api.openai.com/v1", key = secret "env:OPENAI_API_KEY" },
          { id = "local", url = "http://127.0.0.1:8000/v1/", models = { ["llama"] = {} }, max_concurrent = 8 },
        },
        policies = { "policies/weighted.lua" },
      }]], { OPENAI_API_KEY = "sk-0123456789abcdef" })
    assert.equal(0, code)
    assert.equal("perilune.lua: ok, 2 providers, 1 policies\n", out)
  end)

  it("says every fault at once, with its line and the nearest name", function()
    local code, _, err = check([[
return {
  lisen = "127.0.0.1:9000",
  workers = "four",
  providers = { { id = "a", url = "http://h/v1",
    weigth = 3 } },
}]])
    assert.equal(78, code)
    assert.same({
      "perilune.lua:2: unknown key 'lisen', did you mean 'listen'?",
      "perilune.lua:3: 'workers' must be a whole number from 0 to 1024, got \"four\"",
      "perilune.lua:5: unknown key 'weigth' in 'providers[1]', did you mean 'weight'?",
    }, faults(err))
  end)

  it("shows where each value came from", function()
    local source = 'return {\n  workers = 3,\n  log = { level = "warn" },\n  drain = "1m",\n  providers = {},\n}'
    local code, out = check(source, { PERILUNE_LOG_LEVEL = "debug", PERILUNE_DRAIN = "2m" }, "--dump --set drain=3m")
    assert.equal(0, code)
    assert.match('\nworkers = 3 +perilune.lua:2\n', out)
    assert.match('\nlog.level = "debug" +environment PERILUNE_LOG_LEVEL\n', out)
    assert.match('\ndrain = 180000 +flag %-%-set\n', out)
    assert.match('\nqueue.max = 1000 +default\n', out)
  end)
end)

--- One fault each: name, source, what is said after "perilune.lua:".
local refused = {
  { "a file that is no Lua", "return {",
    "1: unexpected symbol near <eof>" },
  { "a file that returns no table", "return 3",
    "1: the file must return a table, got number" },
  { "compiled Lua", "\27Lua",
    " attempt to load a binary chunk (mode is 't')" },
  { "an unknown name", "return { providers = print }",
    "1: unknown name 'print', a configuration has env, file, secret and include" },
  { "a global assignment", "x = 1\nreturn {}",
    "1: 'x' is assigned without 'local'" },
  { "a function", "return { providers = {},\n  drain = function() end }",
    "2: a value is a function, expected plain data" },
  { "an endless loop", "while true do end",
    "1: ran for 10000000 instructions, expected plain data" },
  { "a loop whose instructions compare megabytes",
    "local s = \"x\" for _ = 1, 22 do s = s .. s end local a, b = s .. \"a\", s .. \"b\"\n" ..
    "while true do local c = a < b end",
    "2: ran for 1000 ms, expected plain data" },
  { "a chunk that eats memory", "local s = \"x\"\nwhile true do s = s .. s end",
    " needs more than 32 MiB of memory, expected plain data" },
  { "a bad secret source",
    "return { providers = { { id = \"a\", url = \"http://h\",\n" ..
    "  key = secret \"vault:x\" } } }",
    "2: 'secret' takes \"env:NAME\", \"file:PATH\" or \"cred:NAME\"" },
  { "a missing include", "return {\n  providers = include \"other.lua\" }",
    "2: 'include' can not read 'other.lua': No such file or directory" },
  { "a gap in a list", "return {\n  providers = { [1] = { id = \"a\", url = \"http://h\" }, [3] = 1 } }",
    "2: a list has an item [3] but ends at 1, expected no gaps" },
  { "a key given twice", "return { providers = {},\n  drain = 1,\n  drain = 2 }",
    "3: 'drain' is given twice, first in line 2" },
  { "no provider at all",
    "return {\n" ..
    "}",
    "1: no provider is configured: expected 'providers', --upstream URL, or an environment variable such " ..
    "as OPENAI_API_KEY" },
  { "an unknown key at the top", "return { providers = {},\n  workes = 1 }",
    "2: unknown key 'workes', did you mean 'workers'?" },
  { "an unknown key that is near to nothing", "return { providers = {},\n  telemetry = 1 }",
    "2: unknown key 'telemetry', expected one that `perilune check --reference` lists" },
  { "an unknown key in a group", "return { providers = {},\n  limits = {\n    body_byte = 1 } }",
    "3: unknown key 'body_byte' in 'limits', did you mean 'body_bytes'?" },
  { "an unknown key in a provider of a named table",
    "local a = { id = \"a\",\n" ..
    "  ulr = \"http://h\", url = \"http://h\" }\n" ..
    "return { providers = { a } }",
    "2: unknown key 'ulr' in 'providers[1]', did you mean 'url'?" },
  { "an unknown key in a model",
    "return { providers = { { id = \"a\", url = \"http://h\", models = {\n" ..
    "  m = { upsteam = \"x\" } } } } }",
    "2: unknown key 'upsteam' in 'providers[1].models.m', did you mean 'upstream'?" },
  { "an unknown key in a policy",
    "return { providers = {},\n" ..
    "  policies = { { file = \"policies/weighted.lua\", option = {} } } }",
    "2: 'policies[1]' has an unknown key 'option', expected 'file' and 'options'" },
  { "a word for a number", "return { providers = {},\n  workers = \"four\" }",
    "2: 'workers' must be a whole number from 0 to 1024, got \"four\"" },
  { "a number out of range", "return { providers = {},\n  workers = 1025 }",
    "2: 'workers' must be a whole number from 0 to 1024, got 1025" },
  { "a negative number", "return { providers = {},\n  workers = -1 }",
    "2: 'workers' must be a whole number from 0 to 1024, got -1" },
  { "a fraction", "return { providers = {},\n  route = { max_attempts = 1.5 } }",
    "2: 'route.max_attempts' must be a whole number from 1 to 100, got 1.5" },
  { "zero attempts", "return { providers = {},\n  route = { max_attempts = 0 } }",
    "2: 'route.max_attempts' must be a whole number from 1 to 100, got 0" },
  { "a number for a truth", "return { providers = {},\n  route = { overflow = 1 } }",
    "2: 'route.overflow' must be true or false, got 1" },
  { "a text for a truth", "return { providers = {},\n  policy = { watch = \"yes\" } }",
    "2: 'policy.watch' must be true or false, got \"yes\"" },
  { "a bad duration",
    "return { providers = {},\n" ..
    "  timeouts = { idle = \"30 secs\" } }",
    "2: 'timeouts.idle' must be a duration such as 500 (milliseconds), \"30s\" or \"2m\", at most 86400000 " ..
    "ms, got \"30 secs\"" },
  { "a duration of days on end", "return { providers = {},\n  drain = \"2d\" }",
    "2: 'drain' must be a duration such as 500 (milliseconds), \"30s\" or \"2m\", at most 86400000 ms, got \"2d\"" },
  { "a bad size",
    "return { providers = {},\n" ..
    "  limits = { body_bytes = \"32MB\" } }",
    "2: 'limits.body_bytes' must be a size from 1024 to 1073741824 bytes such as 65536, \"64KiB\" or " ..
    "\"32MiB\", got \"32MB\"" },
  { "an unknown log level", "return { providers = {},\n  log = { level = \"verbose\" } }",
    "2: 'log.level' must be one of trace, debug, info, warn, error, off, got \"verbose\"" },
  { "a list where a table belongs", "return { providers = {},\n  log = { \"debug\" } }",
    "2: 'log' must be a table with named members, got a list" },
  { "a value where a table belongs", "return { providers = {},\n  log = \"debug\" }",
    "2: 'log' must be a table with named members, got \"debug\"" },
  { "a table where a list belongs", "return { providers = { id = \"a\", url = \"http://h\" } }",
    "1: 'providers' must be a list of tables, got a table with named members" },
  { "a listen address without a port",
    "return { providers = {},\n" ..
    "  listen = \"127.0.0.1\" }",
    "2: 'listen' must be an IP address and port such as \"127.0.0.1:9000\" or \"[::1]:9000\", or " ..
    "\"unix:/path\", got \"127.0.0.1\"" },
  { "a listen address that is a name",
    "return { providers = {},\n" ..
    "  listen = { \"127.0.0.1:1\", \"localhost:9000\" } }",
    "2: 'listen[2]' must be an IP address and port such as \"127.0.0.1:9000\" or \"[::1]:9000\", or " ..
    "\"unix:/path\", got \"localhost:9000\"" },
  { "a public address without client keys",
    "return { providers = {},\n" ..
    "  listen = \"0.0.0.0:9000\" }",
    "2: 'listen' is 0.0.0.0:9000, which others can reach, and no client keys are configured: expected " ..
    "'keys' (a list of secrets), or a loopback address such as 127.0.0.1:9000" },
  { "a public address with no keys in the list",
    "return { providers = {}, keys = {},\n" ..
    "  listen = { \"127.0.0.1:1\", \"[::]:9000\" } }",
    "2: 'listen' is [::]:9000, which others can reach, and no client keys are configured: expected " ..
    "'keys' (a list of secrets), or a loopback address such as 127.0.0.1:9000" },
  { "a provider without an id", "return { providers = {\n  { url = \"http://h\" } } }",
    "2: 'providers[1]' lacks 'id': its name in policies, logs and headers, one of a kind" },
  { "a provider without a URL", "return { providers = {\n  { id = \"a\" } } }",
    "2: 'providers[1]' lacks 'url': base URL such as \"https://api.openai.com/v1\"" },
  { "a broker of a network that is not known",
    "return { providers = {\n  { id = \"a\", url = \"http://h\", broker = \"gonk\" } } }",
    "2: 'providers[1].broker' must be \"gonka\", got \"gonk\"" },
  { "a network with a broker",
    "return { providers = { { id = \"g\", network = \"gonka\", source = \"http://n\", key = \"WALLET\",\n" ..
    "  broker = \"gonka\" } } }",
    "2: 'providers[1]' has a 'broker', but the hosts of a network are called themselves: expected it only with " ..
    "a 'url'" },
  { "a provider id with a space", "return { providers = {\n  { id = \"a b\", url = \"http://h\" } } }",
    "2: 'providers[1].id' must be 1 to 128 letters, digits or any of . _ : / @ -, got \"a b\"" },
  { "two providers of one id",
    "return { providers = { { id = \"a\", url = \"http://h\" },\n" ..
    "  { id = \"a\", url = \"http://i\" } } }",
    "2: 'providers[2].id' is 'a' again (first at perilune.lua:1), expected each id once" },
  { "a URL of another scheme", "return { providers = {\n  { id = \"a\", url = \"ftp://h\" } } }",
    "2: 'providers[1].url' must be a URL that starts with http:// or https://" },
  { "a URL with a password",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://user:sk-canary-9f86d081884c7d65@h/v1\" } } }",
    "2: 'providers[1].url' must be a URL without user name and password (credentials belong into 'key')" },
  { "a URL with a credential in its query",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://h/v1?a=b&api_key=sk-canary-9f86d081884c7d65\" } } }",
    "2: 'providers[1].url' must be a URL without credentials in its query (they belong into 'key' or 'headers')" },
  { "a larger head than is ever read",
    "return { limits = {\n  header_bytes = \"81KiB\" }, providers = { { id = \"a\", url = \"http://h/v1\" } } }",
    "2: 'limits.header_bytes' must be a size from 1024 to 81920 bytes such as 65536, \"64KiB\" or \"32MiB\", "
      .. "got \"81KiB\"" },
  { "a weight of zero", "return { providers = {\n  { id = \"a\", url = \"http://h\", weight = 0 } } }",
    "2: 'providers[1].weight' must be a whole number from 1 to 1000000, got 0" },
  { "a tier of zero", "return { providers = {\n  { id = \"a\", url = \"http://h\", tier = 0 } } }",
    "2: 'providers[1].tier' must be a whole number from 1 to 1000, got 0" },
  { "a key that is no secret", "return { providers = {\n  { id = \"a\", url = \"http://h\", key = 17 } } }",
    "2: 'providers[1].key' must be a secret such as secret \"env:NAME\", got 17" },
  { "a key from a variable that is not set",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://h\", key = secret \"env:NO_SUCH\" } } }",
    "2: 'providers[1].key' can not be had: the environment variable NO_SUCH is not set or empty" },
  { "auth without a key", "return { providers = {\n  { id = \"a\", url = \"http://h\", auth = \"bearer\" } } }",
    "2: 'providers[1]' lacks 'key': the secret that is to be sent" },
  { "auth by a header without its name",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://h\", key = secret \"env:CANARY\", auth = \"header\" } } }",
    "2: 'providers[1]' lacks 'auth_header': the header that carries the key" },
  { "a key that is not sent",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://h\", key = secret \"env:CANARY\", auth = \"none\" } } }",
    "2: 'providers[1]' has a 'key' that 'auth' \"none\" does not send, expected one of them" },
  { "one key and several",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://h\", key = secret \"env:CANARY\", keys = { secret \"env:CANARY\" } } } }",
    "2: 'providers[1]' has both 'key' and 'keys', expected one of them" },
  { "too many keys",
    "local k = secret \"env:CANARY\"\nreturn { providers = {\n" ..
    "  { id = \"a\", url = \"http://h\", keys = { k, k, k, k, k, k, k, k, k } } } }",
    "3: 'providers[1]' has 9 'keys', expected at most 8" },
  { "a status that is none",
    "return { providers = { { id = \"a\", url = \"http://h\", retry = { statuses = {\n  200 } } } } }",
    "2: 'providers[1].retry.statuses[1]' must be a status from 400 to 599, got 200" },
  { "a header that is ours",
    "return { providers = { { id = \"a\", url = \"http://h\",\n" ..
    "  headers = { Host = \"x\" } } } }",
    "2: 'providers[1].headers.Host' can not be sent, expected a header name that the router does not set itself" },
  { "a header of two lines",
    "return { providers = { { id = \"a\", url = \"http://h\",\n" ..
    "  headers = { [\"x-a\"] = \"b\\r\\nc: d\" } } } }",
    "2: 'providers[1].headers.x-a' must be one line without control characters" },
  { "a model twice",
    "return { providers = { { id = \"a\", url = \"http://h\",\n" ..
    "  models = { \"m\", n = { aliases = \"m\" } } } } }",
    "2: 'providers[1].models' names the model 'm' again, expected each public name once" },
  { "a model name of two models", "return { providers = {},\n  models = { a = \"x\", b = { \"x\" } } }",
    "2: 'models.b[1]' gives 'x' to a second model, it stands for 'a' already" },
  { "an unknown network", "return { providers = {\n  { id = \"a\", network = \"bitcoin\" } } }",
    "2: 'providers[1].network' must be \"gonka\", got \"bitcoin\"" },
  { "a network that is not built yet",
    "return { providers = { { id = \"z\", source = \"https://rpc\", key = \"WALLET\",\n  network = \"0g\" } } }",
    "2: 'providers[1].network' is \"0g\", which is not supported by this version, expected \"gonka\"" },
  { "a list of models asked of a network",
    "return { providers = { { id = \"g\", network = \"gonka\", source = \"http://n\", key = \"WALLET\",\n" ..
    "  discover_models = true } } }",
    "2: 'providers[1]' has 'discover_models', but a network says itself what its hosts serve: " ..
    "expected it only with a 'url'" },
  { "an option of another network",
    "return { providers = {\n" ..
    "  { id = \"a\", url = \"http://h\", verify_proofs = true } } }",
    "2: 'providers[1].verify_proofs' is an option of network \"gonka\", this provider has no network" },
  { "a network without hosts",
    "return { providers = {\n" ..
    "  { id = \"g\", network = \"gonka\", private_key = \"WALLET\" } } }",
    "2: 'providers[1]' lacks an endpoint source: 'sources' (URLs of nodes) or 'endpoints' " ..
    "(\"url;address\")" },
  { "an endpoint without an address",
    "return { providers = { { id = \"g\", network = \"gonka\", key = \"WALLET\",\n" ..
    "  endpoints = \"http://h\" } } }",
    "2: 'providers[1].endpoints[1]' must be \"url;address\", got \"http://h\"" },
  { "an endpoint with a broken address",
    "return { providers = { { id = \"g\", network = \"gonka\", key = \"WALLET\",\n" ..
    "  endpoints = { \"http://h;gonka15wgtkntdf26hqan77g0kdsldcxjddypxvas6v3\" } } } }",
    "2: 'providers[1].endpoints[1]' must be \"url;address\" with an address of the network (gonka1…), got " ..
    "\"http://h;gonka15wgtkntdf26hqan77g0kdsldcxj…\"" },
  { "no endpoint in the list",
    "return { providers = { { id = \"g\", network = \"gonka\", key = \"WALLET\",\n" ..
    "  endpoints = {} } } }",
    "2: 'providers[1].endpoints' must be a list of \"url;address\", got an empty table" },
  { "a private key that is none",
    "return { providers = { { id = \"g\", network = \"gonka\", source = \"http://n\",\n" ..
    "  private_key = secret \"env:CANARY\" } } }",
    "2: 'providers[1].private_key' must be a private key: 64 hexadecimal digits (32 bytes), with or " ..
    "without 0x, from 1 to the order of secp256k1 less 1" },
  { "a policy that is not there", "return { providers = {},\n  policies = { \"policies/weightd.lua\" } }",
    "2: 'policies[1]' names the file 'policies/weightd.lua', which can not be read" },
  { "a secret among a policy's options",
    "return { providers = {},\n" ..
    "  policies = { { file = \"policies/weighted.lua\",\n" ..
    "    options = { key = secret \"env:CANARY\" } } } }",
    "3: 'policies[1]' must be plain data for the policy (no secrets, no table that is list and named " ..
    "members at once)" },
  { "client keys that are no list", "return { providers = {},\n  keys = secret \"env:LONG_KEY\" }",
    "2: 'keys' must be a list of secrets, got a secret" },
  { "the same client key twice",
    "return { providers = {},\n" ..
    "  keys = { secret \"env:LONG_KEY\", secret \"env:LONG_KEY\" } }",
    "2: 'keys[2]' is the same secret as that of 'key-1'" },
  { "two client keys of one id",
    "return { providers = {},\n" ..
    "  keys = { { id = \"a\", secret = secret \"env:LONG_KEY\" }, { id = \"a\", secret = secret \"env:CANARY\" } } }",
    "2: 'keys[2]' has the id 'a' of another key, expected each id once" },
  { "a client key without a secret", "return { providers = {},\n  keys = { { id = \"a\" } } }",
    "2: 'keys[1]' lacks 'secret': what the client sends behind \"Bearer \"" },
}

describe("perilune check refuses", function()
  before_each(open_folder)
  after_each(close_folder)

  for _, case in ipairs(refused) do
    it(case[1], function()
      local source = case[2]:gsub("WALLET", wallet)
      local code, out, err = check(source, { CANARY = canary, LONG_KEY = "0123456789abcdef0" })
      assert.same({ "perilune.lua:" .. case[3] }, faults(err))
      assert.equal(78, code)
      assert.equal("", out)
    end)
  end
end)

describe("a configuration in Lua", function()
  before_each(open_folder)
  after_each(close_folder)

  it("counts the items of a list, also behind one that is wrong", function()
    local _, _, err = check('return { providers = {\n  { id = "a", url = "http://h",\n' ..
      '    keys = { secret "env:NO_SUCH", secret "env:NOR_SUCH" } } } }')
    assert.same({
      "perilune.lua:3: 'providers[1].keys[1]' can not be had: the environment variable NO_SUCH is not set or empty",
      "perilune.lua:3: 'providers[1].keys[2]' can not be had: the environment variable NOR_SUCH is not set or empty",
    }, faults(err))
  end)

  it("names lines in included files, and of tables with names", function()
    write("more.lua", 'return {\n  { id = "a", url = "http://h",\n    colour = 1 } }\n')
    local _, _, err = check('local t = {\n  idel = 1 }\nreturn {\n  timeouts = t,\n' ..
      '  providers = include "more.lua",\n}')
    assert.same({
      "more.lua:3: unknown key 'colour' in 'providers[1]', expected one that `perilune check --reference` lists",
      "perilune.lua:2: unknown key 'idel' in 'timeouts', did you mean 'idle'?",
    }, faults(err))
  end)

  it("reads variables and files, relative to its own folder", function()
    write("conf/model", "llama\n")
    write("conf/p.lua", 'return { default_model = file "model", workers = 1 + 1, providers = {},\n' ..
      'log = { level = env("LEVEL", "error"), file = env "NOT_SET" } }')
    local at = support.dump({}, "--config conf/p.lua")
    assert.same({ "llama", "conf/p.lua:1" }, { at "default_model" })
    assert.equal("error", (at "log.level"))
    assert.equal("-", (at "log.file"))
    at = support.dump({ LEVEL = "off" }, "--config=conf/p.lua")
    assert.equal("off", (at "log.level"))
    at = support.dump({ PERILUNE_CONFIG = "conf/p.lua" })
    assert.equal("llama", (at "default_model"))
  end)

  it("includes no file for ever", function()
    write("loop.lua", 'return include "loop.lua"')
    local _, _, err = perilune "check --config loop.lua"
    assert.same({ "loop.lua:1: files include one another 32 deep" }, faults(err))
  end)

  it("refuses tables nested for ever", function()
    local _, _, err = check "local t = {}\nfor _ = 1, 40 do t = { a = t } end\nreturn t"
    assert.match("tables are nested more than 32 deep", err)
  end)

  it("takes a secret from a file of mode 0600 and from no other", function()
    write("key", canary .. "\n", "600")
    local source = 'return { providers = { { id = "a", url = "http://h", key = secret "file:key" } } }'
    assert.equal(0, (check(source)))
    write("key", canary, "644")
    local _, _, err = check(source)
    assert.same({ "perilune.lua:1: 'providers[1].key' can not be had: secret file 'key' has mode 0644, others may " ..
      "reach it, fix: chmod 600 key" }, faults(err))
  end)

  it("warns about a secret that is written out", function()
    local code, _, err = check(('return { providers = { { id = "a", url = "http://h",\n key = %q } } }'):format(canary))
    assert.equal(0, code)
    assert.match("warning: perilune.lua:2: 'providers[1].key' is written out here", err, 1, true)
  end)

  it("a provider's URL without a path", function()
    local _, _, err = check 'return { providers = {\n{ id = "a", url = "https://api.openai.com" } } }'
    assert.match("warning: perilune.lua:2: 'providers[1].url' has no path, so that requests go to "
      .. "https://api.openai.com/chat/completions: most providers want https://api.openai.com/v1", err, 1, true)
    for _, url in ipairs { "https://api.deepseek.com", "https://h/v1", "https://h/chat/completions?a=b" } do
      _, _, err = check(('return { providers = {\n{ id = "a", url = %q } } }'):format(url))
      assert.equal(url:find "h/chat" ~= nil, err:find "has no path" ~= nil, url)
    end
  end)
end)

describe("a configuration in JSON", function()
  before_each(open_folder)
  after_each(close_folder)

  it("takes the same options, with lines", function()
    write("p.json", '{"providers": [\n {"id": "a", "url": "http://h", "key": "env:CANARY",\n' ..
      '  "headers": {"x-k": {"secret": "env:CANARY"}}}],\n' ..
      ' "keys": [{"id": "me", "secret": {"secret": "env:CANARY"}}],\n' ..
      ' "listen": "0.0.0.0:9000"}')
    local at = support.dump({ CANARY = canary }, "--config p.json")
    assert.same({ "secret env:CANARY", "p.json:2" }, { at "providers[1].key" })
    assert.same({ "secret env:CANARY", "p.json:3" }, { at "providers[1].headers.x-k" })
    assert.same({ "secret env:CANARY", "p.json:4" }, { at "keys[1]" })
    assert.same({ "0.0.0.0:9000", "p.json:5" }, { at "listen[1]" })
  end)

  it("names lines of what is wrong", function()
    write("p.json", '{"providers": [],\n "lisen": 1,\n "workers": 1.5,\n "log": [], "seed": 1,\n "seed": 2}')
    local code, _, err = perilune "check --config p.json"
    assert.equal(78, code)
    assert.same({
      "p.json:2: unknown key 'lisen', did you mean 'listen'?",
      "p.json:3: 'workers' must be a whole number from 0 to 1024, got 1.5",
      "p.json:4: 'log' must be a table with named members, got an empty list",
      "p.json:5: 'seed' is given twice, first in line 4",
    }, faults(err))
  end)

  it("names the line where it stops to be JSON", function()
    write("p.json", '{"providers": [],\n]')
    local _, _, err = perilune "check --config p.json"
    assert.match("^p.json:2: not JSON: ", faults(err)[1])
  end)
end)

describe("secrets", function()
  before_each(open_folder)
  after_each(close_folder)

  it("appear nowhere in what check prints, right or wrong", function()
    write("key", canary, "600")
    local provider = '{ id = "%s", url = "http://h", key = %s, headers = { ["x-k"] = %s } }'
    local sources = { 'secret "env:CANARY"', 'secret "file:key"', ("%q"):format(canary) }
    for _, source in ipairs(sources) do
      for _, rest in ipairs { "", ", weight = 0", (", tier = %q"):format(canary), (", %s = 1"):format("colour") } do
        local text = ("return { keys = { %s }, providers = { %s } }"):format(source,
          provider:format("a", source, 'secret "env:CANARY"'):gsub(" }$", rest .. " }"))
        for _, args in ipairs { "", "--dump", "--dump=json" } do
          local _, out, err = check(text, { CANARY = canary, PERILUNE_WORKERS = canary }, args)
          assert.not_match("canary", out)
          assert.not_match("canary", err)
        end
      end
    end
  end)

  it("are refused on the command line", function()
    local code, _, err = perilune("check --upstream 'http://h;" .. canary .. "'")
    assert.equal(78, code)
    assert.not_match("canary", err)
    assert.match("^%-%-upstream: has a key, which every process could read", faults(err)[1])
  end)
end)

describe("the command line", function()
  before_each(open_folder)
  after_each(close_folder)

  it("prints its version", function()
    local code, out = perilune "version"
    assert.equal(0, code)
    assert.match("^perilune %d+%.%d+%.%d+\n$", out)
    assert.equal(out, select(2, perilune "--version"))
  end)

  it("prints help for everything, and exits with 0", function()
    for _, args in ipairs { "help", "--help", "help check", "check --help", "help version" } do
      local code, out, err = perilune(args)
      assert.same({ 0, "" }, { code, err })
      assert.match("perilune", out)
    end
  end)

  it("exits with 2 for what it does not understand", function()
    for args, said in pairs {
      ["chekc"] = "perilune: no verb 'chekc', did you mean 'check'?\n",
      ["quux"] = "perilune: no verb 'quux', `perilune help` lists them\n",
      ["check --dumb"] = "perilune check: unknown argument '--dumb', see `perilune help check`\n",
      ["check --set workers"] = "perilune: --set takes OPTION=VALUE, got 'workers'\n",
      ["check --config"] = "perilune: --config takes a file\n",
      ["version now"] = "perilune version: takes nothing, got 'now'\n",
    } do
      local code, _, err = perilune(args)
      assert.same({ 2, said }, { code, err })
    end
    assert.equal(2, (perilune ""))
  end)

  it("exits with 78 for a file that is not there", function()
    local code, _, err = perilune "check --config none.lua"
    assert.same({ 78, "none.lua: can not be read: No such file or directory\n" }, { code, err })
  end)

  it("names the flag that holds a wrong value", function()
    local _, _, err = perilune "check --upstream ftp://h --workers x --set policies=a --set nothing=1"
    assert.same({
      "--set: 'policies' is no option that a flag can set",
      "--set: 'nothing' is no option that a flag can set",
      "--upstream: 'providers[1].url' must be a URL that starts with http:// or https://",
      "--workers: 'workers' must be a whole number from 0 to 1024, got \"x\"",
    }, faults(err))
  end)
end)

describe("what the table of options generates", function()
  before_each(open_folder)
  after_each(close_folder)

  it("is the stub in lua/perilune/_meta, as it stands there", function()
    assert.equal(support.read "lua/perilune/_meta/config.lua", select(2, perilune "check --stub"))
  end)

  it("is a JSON Schema that names every option", function()
    local _, out = perilune "check --schema"
    local schema = cjson.decode(out)
    assert.equal("#/$defs/config", schema["$ref"])
    assert.equal(65536 * 512, schema["$defs"].limits.properties.body_bytes.anyOf[1].maximum / 32)
    local names = 0
    for reference in out:gmatch '"%$ref":"#/%$defs/([%w_]+)"' do
      assert.is_table(schema["$defs"][reference], reference)
      names = names + 1
    end
    assert.is_true(names > 10)
  end)

  it("is a reference page with every option of the example", function()
    local _, out = perilune "check --reference"
    for _, name in ipairs { "listen", "providers", "weight", "rate_limit_cooldown", "verify_proofs", "instructions" } do
      assert.match("| `" .. name .. "` |", out, 1, true)
    end
  end)
end)

describe("examples/perilune.lua", function()
  before_each(open_folder)
  after_each(close_folder)

  it("is a configuration that passes", function()
    write("key", wallet, "600")
    local text = support.read "examples/perilune.lua"
    local code, _, err = check(text, {
      OPENAI_API_KEY = canary, GONKA_BROKER_KEY = canary, GONKA_PRIVATE_KEY = wallet, ROUTER_KEY = canary,
    })
    assert.equal("", table.concat(faults(err), "\n"))
    assert.equal(0, code)
  end)
end)

describe("examples/providers.lua", function()
  before_each(open_folder)
  after_each(close_folder)

  it("is a configuration that passes, without a warning about a provider", function()
    local code, _, err = check(support.read "examples/providers.lua", {
      AZURE_OPENAI_API_KEY = canary, OPENROUTER_API_KEY = canary, DEEPSEEK_API_KEY = canary, GROQ_API_KEY = canary,
      GONKA_BROKER_KEY = canary,
    })
    assert.equal("", table.concat(faults(err), "\n"))
    assert.is_nil(err:find("providers[", 1, true))
    assert.equal(0, code)
  end)
end)
