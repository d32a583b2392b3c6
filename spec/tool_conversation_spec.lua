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

  local function hold(start, policies, call, behave)
    local p = provider.start(behave or kimi.behave)
    local r = start {
      policy = { budget = "10s" }, -- a busy machine may stand still for long
      providers = { router.provider("a", p, { models = { kimi.model } }) }, policies = policies,
    }
    return clients.run(r.url, { call })[1], p
  end

  local function policy(name)
    return { file = os.getenv "PWD" .. "/policies/" .. name .. ".lua", options = { networks = {} } }
  end
  local tool_ids = policy "tool_ids"

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

    it("is not lost with a turn that comes out empty, under all policies of the network, with " .. client,
      router.test(function(start)
        local asked = 0
        local function behave(c, request)
          asked = asked + 1
          if asked ~= 2 then return kimi.behave(c, request) end
          provider.stream { provider.frames.role, provider.frames.finish "length", provider.frames.done }(c, request)
        end
        local seen, p = hold(start, { policy "gonka_rules", tool_ids, policy "gonka_answers" },
          { client = client .. " tools", stream = true, model = kimi.model }, behave)
        assert.is_nil(seen.error and seen.error.message)
        assert.equal(kimi.conclusion(), seen.text)
        assert.equal(#kimi.turns + 2, #p.requests)
        assert.equal(0, p.requests[3].json.thinking_token_budget)
        assert.same(p.requests[2].json.messages, p.requests[3].json.messages)
      end))
  end
end)
