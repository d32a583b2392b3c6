--- Conversations with tools over several turns, held by the official clients with a Kimi whose ids collide.
local clients = require "spec.support.clients"
local kimi = require "spec.support.kimi"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

describe("a conversation with Kimi's tools", function()
  if not clients.directory() then
    print("skipped: " .. clients.why)
    return
  end
  teardown(process.stop_all)

  local function hold(start, policies, call)
    local p = provider.start(kimi.behave)
    local r = start {
      policy = { budget = "10s" }, -- a busy machine may stand still for long
      providers = { router.provider("a", p, { models = { kimi.model } }) }, policies = policies,
    }
    return clients.run(r.url, { call })[1], p
  end

  local tool_ids = { file = os.getenv "PWD" .. "/policies/tool_ids.lua", options = { networks = {} } }

  for _, client in ipairs { "openai", "ai" } do
    for _, stream in ipairs { true, false } do
      local call = { client = client .. " tools", stream = stream, model = kimi.model }
      local how = client .. (stream and ", streamed" or "")

      it("comes to its end with " .. how, router.test(function(start)
        local seen, p = hold(start, { tool_ids }, call)
        assert.is_nil(seen.error and seen.error.message)
        assert.equal(kimi.conclusion(), seen.text)
        assert.same({ "weather Paris", "weather Rome", "weather Oslo", "clock Rome", "clock Oslo" }, seen.called)
        assert.equal(#kimi.turns + 1, #p.requests)
      end))

      it("does not without the policy, with " .. how, router.test(function(start)
        local seen, p = hold(start, {}, call)
        assert.is_false(seen.ok)
        assert.matches("the call is named %S+, expected functions.weather:1$", seen.error.message)
        assert.equal(2, #p.requests)
      end))
    end
  end
end)
