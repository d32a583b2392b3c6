local testing = require "perilune.testing"

local policy = { file = "tool_ids.lua", options = { networks = {} } }

local function call(id, name)
  return { id = id, type = "function", ["function"] = { name = name, arguments = "{}" } }
end

local conversation = {
  { role = "user", content = "what is there?" },
  { role = "assistant", content = "", tool_calls = { call("call_a", "read"), call("call_b", "list") } },
  { role = "tool", tool_call_id = "call_a", content = "a file" },
  { role = "tool", tool_call_id = "call_b", content = "a folder" },
}

local tools = { { type = "function", ["function"] = { name = "read", parameters = { type = "object" } } } }

testing.test("tool_ids: Kimi sees its own ids, the client ids that stand only once", function(t)
  local router = t:router { policies = { policy }, providers = { { id = "kimi", models = { "moonshotai/Kimi-K2.6" },
    answers = { testing.chat(nil, { tool_calls = { { id = "functions.read:0", name = "read" } } }) } } } }
  for _, stream in ipairs { true, false } do
    local got = router:chat { model = "moonshotai/Kimi-K2.6", messages = conversation, tools = tools,
      stream = stream }
    local asked = router.providers.kimi.requests
    local sent = asked[#asked].json.messages
    t:equal(sent[2].tool_calls[1].id, "functions.read:0")
    t:equal(sent[2].tool_calls[2].id, "functions.list:1")
    t:equal({ sent[3].tool_call_id, sent[4].tool_call_id }, { "functions.read:0", "functions.list:1" })
    t:equal(#got.tool_calls, 1)
    t:equal(got.tool_calls[1].name, "read")
    t:ok(got.tool_calls[1].id ~= "functions.read:0", "an id of an earlier call is not used again")
  end
end)

testing.test("tool_ids: other models keep the client's ids, byte for byte", function(t)
  local router = t:router { policies = { policy }, providers = { { id = "other" } } }
  local body = '{"model":"other-model", "messages":[{"role":"assistant","tool_calls":[{"id":"x\\u0031",'
    .. '"type":"function","function":{"name":"f","arguments":"{}"}}]},'
    .. '{"role":"tool","tool_call_id":"x1","content":"1"}]}'
  router:chat(body)
  t:equal(router.providers.other.requests[1].body, body)
end)

testing.test("tool_ids: messages that are no list are left to the provider", function(t)
  local router = t:router { policies = { policy }, providers = { { id = "other" } } }
  for _, messages in ipairs { "null", "{}", '"hi"', "5", "[null,[],{\"tool_calls\":null}]" } do
    local body = ('{"model":"other-model","messages":%s}'):format(messages)
    router:chat(body)
    local asked = router.providers.other.requests
    t:equal(asked[#asked].body, body)
  end
end)
