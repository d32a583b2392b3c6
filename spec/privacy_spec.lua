--- What a provider says may repeat the prompt: it reaches the client, and no log line that is written by default.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local PROMPT = "the-patient-is-called-Ludmila"

describe("the words of a provider", function()
  teardown(process.stop_all)

  local refusals = {
    ["a 422 that repeats its input"] = provider.reply(422,
      ('{"detail":[{"loc":["body","messages"],"msg":"bad","input":"%s"}]}'):format(PROMPT)),
    ["a 400 in its message"] = provider.reply(400, ('{"error":{"message":"no %s","type":"invalid_request_error",'
      .. '"param":"messages","code":"bad_value"}}'):format(PROMPT)),
    ["a 500 in plain text"] = provider.reply(500, "failed on " .. PROMPT),
    ["a code that is no word"] = provider.reply(400, ('{"error":{"message":"m","code":"no %s"}}'):format(PROMPT)),
    ["an error in a 200"] = provider.reply(200, ('{"error":{"message":"odd %s"}}'):format(PROMPT)),
  }
  for name, refusal in pairs(refusals) do
    it("stand in no line at the level info: " .. name, router.test(function(start)
      local p = provider.start(refusal)
      local r = start {
        providers = { router.provider("a", p) }, log = { level = "info" }, route = { retry = { attempts = 0 } },
      }
      for _ = 1, 4 do assert(r:chat().status >= 400) end
      r:await_requests(4)
      assert.is_nil(r.process:stderr():find(PROMPT, 1, true))
    end))
  end

  it("stand in no line at the level info: an error behind content", router.test(function(start)
    local token = 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    local p = provider.start(provider.stream { token,
      ('data: {"error":{"message":"no %s","type":"server_error","code":null}}\n\n'):format(PROMPT) })
    local r = start { providers = { router.provider("a", p) }, log = { level = "info" } }
    assert.truthy(r:stream().stream.error.message:find(PROMPT, 1, true))
    assert.equal("sent an error inside its stream (type server_error)", r:await_requests(1)[1].detail)
    assert.is_nil(r.process:stderr():find(PROMPT, 1, true))
  end))

  it("reach the client, and the log as status, type and code", router.test(function(start)
    local p = provider.start(refusals["a 400 in its message"])
    local r = start { providers = { router.provider("a", p) }, log = { level = "info" } }
    assert.truthy(r:chat().json.error.message:find(PROMPT, 1, true))
    assert.equal("answered 400 (type invalid_request_error, code bad_value, param messages)",
      r:await_requests(1)[1].detail)
  end))

  it("stand in debug lines", router.test(function(start)
    local p = provider.start(refusals["a 500 in plain text"])
    local r = start { providers = { router.provider("a", p) }, log = { level = "debug" } }
    r:chat()
    r:await_requests(1)
    assert.truthy(r.process:stderr():find(PROMPT, 1, true))
  end))
end)
