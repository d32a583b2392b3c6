--- What the environment says about the configuration, and who wins when two say something.
local cjson = require "cjson"
local support = require "spec.support.check"

local perilune, write, faults, dump, open_folder, close_folder =
  support.perilune, support.write, support.faults, support.dump, support.open, support.close
local canary, wallet, address = support.canary, support.wallet, support.address

describe("the environment alone", function()
  before_each(open_folder)
  after_each(close_folder)

  it("is refused when it names no provider", function()
    local code, _, err = perilune("check", {})
    assert.equal(78, code)
    assert.same({ "environment: no provider is configured: expected 'providers', --upstream URL, or an environment " ..
      "variable such as OPENAI_API_KEY" }, faults(err))
  end)

  it("makes a provider of OPENAI_API_KEY", function()
    local at = dump { OPENAI_API_KEY = canary }
    assert.equal("openai", (at "providers[1].id"))
    assert.equal("https://api.openai.com/v1", (at "providers[1].url"))
    assert.same({ "secret env:OPENAI_API_KEY", "environment OPENAI_API_KEY" }, { at "providers[1].key" })
    assert.is_nil((at "providers[2].id"))
  end)

  it("takes the base URL of an OpenAI-compatible server", function()
    local at = dump { OPENAI_API_KEY = canary, OPENAI_BASE_URL = "http://10.0.0.1:8000/api/v1/" }
    assert.same({ "http://10.0.0.1:8000/api/v1", "environment OPENAI_BASE_URL" }, { at "providers[1].url" })
  end)

  it("makes providers of PERILUNE_UPSTREAM, with keys behind semicolons", function()
    local at = dump { PERILUNE_UPSTREAM = "http://a:8001, http://b:8002/v2;" .. canary .. "," }
    assert.equal("upstream", (at "providers[1].id"))
    assert.equal("http://a:8001/v1", (at "providers[1].url"))
    assert.is_nil((at "providers[1].key"))
    assert.equal("upstream-2", (at "providers[2].id"))
    assert.equal("http://b:8002/v2", (at "providers[2].url"))
    assert.equal("secret env:PERILUNE_UPSTREAM", (at "providers[2].key"))
    assert.is_nil((at "providers[3].id"))
  end)

  it("pairs PROVIDERS with KEYS and adds DIRECT_ENDPOINTS without keys", function()
    local at = dump {
      PROVIDERS = "fast=https://a/v1,https://b/v1", KEYS = "," .. canary, DIRECT_ENDPOINTS = "http://c:8000",
    }
    assert.equal("fast", (at "providers[1].id"))
    assert.is_nil((at "providers[1].key"))
    assert.equal("provider-2", (at "providers[2].id"))
    assert.equal("secret env:KEYS", (at "providers[2].key"))
    assert.equal("direct", (at "providers[3].id"))
    assert.equal("http://c:8000/v1", (at "providers[3].url"))
  end)

  it("refuses more keys than providers", function()
    local _, _, err = perilune("check", { PROVIDERS = "http://a", KEYS = "k1,k2" })
    assert.same({ "KEYS: has more items than PROVIDERS, expected one key for each at most" }, faults(err))
  end)

  it("takes addresses among PROVIDERS for a 0G network, which is refused", function()
    local _, _, err = perilune("check", {
      PROVIDERS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ZG_PRIVATE_KEY = wallet,
      ZG_RPC_ENDPOINT = "https://evmrpc.0g.ai",
    })
    assert.same({ "PROVIDERS: 'providers[1].network' is \"0g\", which is not supported by this version, " ..
      "expected \"gonka\"" }, faults(err))
  end)

  it("makes a Gonka network of a key and a source", function()
    local at = dump {
      GONKA_PRIVATE_KEY = "0x" .. wallet, GONKA_SOURCE_URL = "http://node1:8000,http://node2:8000",
      GONKA_VERIFY_PROOF = "No", GONKA_ADDRESS = address,
    }
    assert.equal("gonka", (at "providers[1].network"))
    assert.same({ "secret env:GONKA_PRIVATE_KEY", "environment GONKA_PRIVATE_KEY" },
      { at "providers[1].private_key[1]" })
    assert.equal("http://node2:8000", (at "providers[1].sources[2]"))
    assert.same({ false, "environment GONKA_VERIFY_PROOF" }, { at "providers[1].verify_proofs" })
    assert.equal(address, (at "providers[1].address"))
  end)

  it("prefers static Gonka endpoints to a source", function()
    local at = dump {
      GONKA_PRIVATE_KEY = wallet, GONKA_SOURCE_URL = "http://node1:8000",
      GONKA_ENDPOINTS = " http://a:8001 ; " .. address .. " , http://b:8002;" .. address .. ",",
    }
    assert.equal("http://a:8001;" .. address, (at "providers[1].endpoints[1]"))
    assert.equal("http://b:8002;" .. address, (at "providers[1].endpoints[2]"))
    assert.is_nil((at "providers[1].sources[1]"))
  end)

  it("pairs GONKA_ENDPOINT with an address, under either name", function()
    for _, name in ipairs { "GONKA_PROVIDER_ADDRESS", "GONKA_TRANSFER_ADDRESS" } do
      local at = dump { GONKA_PRIVATE_KEY = wallet, GONKA_ENDPOINT = "http://a:8001/v1", [name] = address }
      assert.equal("http://a:8001/v1;" .. address, (at "providers[1].endpoints[1]"))
    end
  end)

  it("takes several wallets, addresses behind colons left out", function()
    local at = dump {
      GONKA_WALLETS = wallet .. ":" .. address .. "," .. ("2"):rep(64), GONKA_SOURCE_URL = "http://n",
    }
    assert.equal("secret env:GONKA_WALLETS", (at "providers[1].private_key[2]"))
  end)

  it("says what a Gonka network lacks", function()
    local _, _, err = perilune("check", { GONKA_SOURCE_URL = "http://n" })
    assert.match("^GONKA_SOURCE_URL: 'providers%[1%]' lacks 'private_key'", faults(err)[1])
    _, _, err = perilune("check", { GONKA_PRIVATE_KEY = wallet })
    assert.match("^GONKA_PRIVATE_KEY: 'providers%[1%]' lacks an endpoint source", faults(err)[1])
    local env = { GONKA_PRIVATE_KEY = wallet, GONKA_SOURCE_URL = "http://n", GONKA_VERIFY_PROOF = "2" }
    _, _, err = perilune("check", env)
    assert.same({ "GONKA_VERIFY_PROOF: must be one of 1, true, yes, 0, false, no" }, faults(err))
  end)

  it("accepts both spellings of the local server's URL", function()
    for _, name in ipairs { "GONKA_VLLM_BASE_URL", "GONKA_VLLM_URL" } do
      local at = dump { [name] = "http://localhost:8000" }
      assert.same({ "http://localhost:8000/v1", "environment " .. name }, { at "providers[1].url" })
    end
  end)

  it("listens where GONKA_GATEWAY_HOST and GONKA_GATEWAY_PORT say", function()
    local at = dump { OPENAI_BASE_URL = "http://h", GONKA_GATEWAY_PORT = "9100" }
    assert.equal("127.0.0.1:9100", (at "listen[1]"))
    local code, _, err = perilune("check", { OPENAI_BASE_URL = "http://h", GONKA_GATEWAY_HOST = "0.0.0.0" })
    assert.equal(78, code)
    assert.match("'listen' is 0%.0%.0%.0:9000, which others can reach", err)
  end)

  it("takes client keys from the file that GONKA_API_KEYS_FILE names", function()
    write("keys.json", cjson.encode { keys = {
      { key = "gk-" .. ("0"):rep(32), owner = "ann", rpm_limit = 60, active = true },
      { key = "gk-" .. ("1"):rep(32), owner = "bob", active = false },
      { key = "gk-" .. ("2"):rep(32), owner = "ann" },
    } }, "600")
    local env = { OPENAI_BASE_URL = "http://h", GONKA_API_KEYS_FILE = "keys.json", GONKA_GATEWAY_HOST = "0.0.0.0" }
    local at = dump(env)
    assert.equal("0.0.0.0:9000", (at "listen[1]"))
    assert.same({ "secret file:keys.json", "environment GONKA_API_KEYS_FILE" }, { at "keys[2]" })
    assert.is_nil((at "keys[3]"))
    write("keys.json", '{"keys": [{"owner": "ann"}]}', "600")
    local _, _, err = perilune("check", env)
    assert.equal("GONKA_API_KEYS_FILE: 'keys[1]' has no plain text 'key'", faults(err)[1])
    write("keys.json", "{}", "644")
    _, _, err = perilune("check", env)
    assert.equal("GONKA_API_KEYS_FILE: secret file 'keys.json' has mode 0644, others may reach it, fix: chmod 600 " ..
      "keys.json", faults(err)[1])
  end)

  it("says which known variables have no effect", function()
    local _, _, err = perilune("check", { OPENAI_BASE_URL = "http://h", GONKA_SESSION_TTL = "60" })
    assert.equal("warning: GONKA_SESSION_TTL: has no effect in this version\n" ..
      "warning: environment: no client keys are configured: anyone on this machine may use the router\n",
      err)
  end)

  it("warns about a variable that is nearly one of ours, and only then", function()
    local _, _, err = perilune("check", {
      OPENAI_BASE_URL = "http://h", PERILUNE_WORKER = "2", PERILUNE_SERVICE_HOST = "10.0.0.1",
    })
    assert.match("warning: PERILUNE_WORKER: unknown variable, did you mean PERILUNE_WORKERS%?\n", err)
    assert.not_match("SERVICE_HOST", err)
  end)

  it("names the variable that holds a wrong value", function()
    local _, _, err = perilune("check", { OPENAI_BASE_URL = "http://h", PERILUNE_WORKERS = "many" })
    assert.same({ "PERILUNE_WORKERS: 'workers' must be a whole number from 0 to 1024, got \"many\"" }, faults(err))
  end)
end)

describe("precedence", function()
  before_each(open_folder)
  after_each(close_folder)

  local function dump_file(source, env, args)
    write("perilune.lua", source)
    return dump(env, args)
  end

  it("keeps other programs' variables out of a file's providers", function()
    local at = dump_file('return { providers = { { id = "a", url = "http://a" } } }',
      { OPENAI_API_KEY = canary, PROVIDERS = "http://b", GONKA_PRIVATE_KEY = wallet, GONKA_SOURCE_URL = "http://n" })
    assert.equal("a", (at "providers[1].id"))
    assert.is_nil((at "providers[2].id"))
  end)

  it("lets PERILUNE_UPSTREAM replace a file's providers, and --upstream both", function()
    local source = 'return { providers = { { id = "a", url = "http://a" } } }'
    local at = dump_file(source, { PERILUNE_UPSTREAM = "http://b" })
    assert.same({ "http://b/v1", "environment PERILUNE_UPSTREAM" }, { at "providers[1].url" })
    at = dump_file(source, { PERILUNE_UPSTREAM = "http://b" }, "--upstream http://c --upstream http://d/v1")
    assert.same({ "http://c/v1", "flag --upstream" }, { at "providers[1].url" })
    assert.equal("http://d/v1", (at "providers[2].url"))
  end)

  it("fills a file's Gonka network from the environment, where the file leaves it open", function()
    local source = 'return { providers = { { id = "g", network = "gonka", verify_proofs = false } } }'
    local at = dump_file(source,
      { GONKA_PRIVATE_KEY = wallet, GONKA_SOURCE_URL = "http://n", GONKA_VERIFY_PROOF = "1" })
    assert.same({ "http://n", "environment GONKA_SOURCE_URL" }, { at "providers[1].sources[1]" })
    assert.same({ false, "perilune.lua:1" }, { at "providers[1].verify_proofs" })
  end)

  it("verifies proofs where the file says what they are fastened to, and says so where none does", function()
    local env = { GONKA_PRIVATE_KEY = wallet, GONKA_SOURCE_URL = "http://n", GONKA_VERIFY_PROOF = "YES" }
    local _, _, err = perilune("check", env)
    assert.same({ "GONKA_VERIFY_PROOF: 'providers[1]' has 'verify_proofs' and nothing that proofs could lead to: " ..
      "expected 'trust_validators' or 'trust_block' beside it" }, faults(err))
    local at = dump_file('return { providers = { { id = "g", network = "gonka", trust_validators = "v.json" } } }', env)
    assert.same({ true, "environment GONKA_VERIFY_PROOF" }, { at "providers[1].verify_proofs" })
  end)

  it("keeps a file's static endpoints against a source in the environment", function()
    local at = dump_file(('return { providers = { { id = "g", network = "gonka", endpoints = "http://a;%s" } } }')
      :format(address), { GONKA_PRIVATE_KEY = wallet, GONKA_SOURCE_URL = "http://n" })
    assert.equal("http://a;" .. address, (at "providers[1].endpoints[1]"))
    assert.is_nil((at "providers[1].sources[1]"))
  end)
end)
