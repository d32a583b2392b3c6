--- Requests in the shapes that agents send: each ends in one that the network accepts, and says the same.
local json = require("perilune").json
local gateway = require "perilune.gonka.rules.gateway"
local repair = require "perilune.gonka.rules.repair"

local models = { "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "moonshotai/Kimi-K2.6", "MiniMaxAI/MiniMax-M2.7",
  "zai-org/GLM-5.3-Flash" }

local shell = '{"type":"function","function":{"name":"shell","description":"Runs a command","parameters":{"type":'
  .. '"object","properties":{"command":{"type":"array","items":{"type":"string"}},"timeout_ms":{"type":'
  .. '["number","null"]}},"required":["command"],"additionalProperties":false}}}'

local agents = {
  OpenClaw = {
    body = '{"model":"$m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":8192,'
      .. '"store":false,"messages":[{"role":"developer","content":"You are OpenClaw."},{"role":"user","content":'
      .. '[{"type":"text","text":"List the files."}]},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1",'
      .. '"type":"function","function":{"name":"exec","arguments":"{\\"cmd\\":\\"ls\\"}"}}]},{"role":"tool",'
      .. '"tool_call_id":"call_1","content":"a.txt"}],"tools":[{"type":"function","function":{"name":"exec",'
      .. '"strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"}}}}}]}',
  },
  Hermes = {
    body = '{"model":"$m","tags":["product=hermes-agent"],"reasoning":{"enabled":true,"effort":"medium"},"provider":'
      .. '{"sort":"throughput"},"usage":{"include":true},"messages":[{"role":"system","content":"You are Hermes."},'
      .. '{"role":"user","content":"Go on."}],"tools":[' .. shell .. '],"max_tokens":null,"temperature":"0.6"}',
    notes = { "dropped tags", "dropped usage", "dropped null max_tokens" },
  },
  ["Kilo Code"] = {
    body = '{"model":"$m","temperature":0,"max_tokens":8192,"stream":true,"stream_options":{"include_usage":true},'
      .. '"transforms":["middle-out"],"models":[],"route":"fallback","tool_choice":"required","parallel_tool_calls":'
      .. 'false,"messages":[{"role":"system","content":[{"type":"text","text":"You are Kilo Code.","cache_control":'
      .. '{"type":"ephemeral"}}]},{"role":"user","content":[{"type":"text","text":"Fix it."},{"type":"text","text":'
      .. '"<environment_details>"}]}],"tools":[' .. shell .. ']}',
    notes = { "dropped transforms", "tool_choice became auto" },
  },
  Cline = {
    body = '{"model":"$m","think":true,"stream":true,"temperature":0,"messages":[{"role":"system","content":'
      .. '"You are Cline."},{"role":"user","content":[{"type":"text","text":"<task>Do it</task>"}]},{"role":'
      .. '"assistant","content":[{"type":"text","text":"I will."},{"type":"text","text":""}]},{"role":"user","content":'
      .. '[{"type":"text","text":"Go"}],"tool_calls":null}]}',
    notes = { "dropped tool_calls of a user message" },
  },
  OpenCode = {
    body = '{"model":"$m","max_tokens":32000,"top_p":1,"reasoning_effort":"max","stream":true,"messages":[{"role":'
      .. '"system","content":"You are opencode"},{"role":"user","content":"Find it"},{"role":"assistant","content":"",'
      .. '"reasoning_content":"hm","tool_calls":[{"id":"functions.grep:0","type":"function","function":{"name":"grep",'
      .. '"arguments":{"pattern":"x"}}}]},{"role":"tool","tool_call_id":"functions.grep:0","name":"grep","content":'
      .. '""}],"tools":[{"type":"function","function":{"name":"grep","parameters":{"$schema":'
      .. '"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"pattern":{"type":"string"},'
      .. '"filter":{"$ref":"#/$defs/Filter"}},"$defs":{"Filter":{"type":"object","properties":{"and":{"$ref":'
      .. '"#/$defs/Filter"}}}}}}}],"tool_choice":"auto"}',
    notes = { "changed reasoning_effort", "rewrote the schema of tool grep", "wrote arguments of a call as text" },
  },
  ["Codex-style"] = {
    body = '{"model":"$m","instructions":"You are a coding agent.","store":false,"prompt_cache_key":"k","text":'
      .. '{"verbosity":"low"},"verbosity":"low","max_output_tokens":16000,"parallel_tool_calls":false,"stream":true,'
      .. '"messages":[{"role":"user","content":[{"type":"input_text","text":"Refactor."}]},{"role":"assistant",'
      .. '"content":[{"type":"output_text","text":"Sure."}]},{"role":"user","content":"ok"}],"tools":[{"type":'
      .. '"function","name":"shell","description":"Runs","strict":true,"parameters":{"type":"object","properties":'
      .. '{"command":{"type":"string","pattern":"^(?!rm)"}}}},{"type":"web_search"}],"tool_choice":"auto"}',
    notes = { "instructions became a system message", "max_output_tokens became max_tokens",
      "rewrote a tool as a function", "dropped a tool of type web_search", "wrote content as text" },
  },
  ["Claude-Code-style"] = {
    body = '{"model":"$m","system":"You are Claude Code.","max_tokens":32000,"stream":true,"betas":["x"],'
      .. '"context_management":{"edits":[]},"thinking":{"type":"adaptive","display":"summarized"},"metadata":'
      .. '{"user_id":"u"},"messages":[{"role":"user","content":[{"type":"text","text":"Read a.","cache_control":'
      .. '{"type":"ephemeral"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},'
      .. '{"type":"text","text":"Reading."},{"type":"tool_use","id":"toolu_1","name":"Read","input":{"path":"a"}}]},'
      .. '{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":'
      .. '"text of a"}]},{"type":"text","text":"And now?"}]}],"tools":[{"name":"Read","description":"Reads",'
      .. '"input_schema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}}],'
      .. '"tool_choice":{"type":"any"}}',
    notes = { "dropped betas", "system became a system message", "moved calls from the content to tool_calls",
      "moved results from the content to tool messages", "rewrote a tool as a function" },
  },
}

local function repaired(agent, model)
  local doc = assert(json.document((agent.body:gsub("%$m", model))))
  local c, message = repair.document(doc, { off = repair.off() })
  assert(not message, message)
  return doc, c
end

describe("an agent's request", function()
  for name, agent in pairs(agents) do
    it("of " .. name .. " is accepted for every model", function()
      for _, model in ipairs(models) do
        local doc = repaired(agent, model)
        local accepted, message = gateway.text(doc:text())
        assert(accepted, ("%s on %s: %s"):format(name, model, message))
      end
    end)

    it("of " .. name .. " is changed only where it says so", function()
      local doc, c = repaired(agent, models[1])
      for _, note in ipairs(agent.notes or {}) do assert(c.notes[note], note .. " is not in: " .. repair.summary(c)) end
      local again = json.document(doc:text())
      repair.document(again, { off = repair.off() })
      assert.equal(doc:text(), again:text())
    end)
  end

  it("keeps call and result of a Messages conversation together", function()
    local messages = json.table(repaired(agents["Claude-Code-style"], models[1]).messages)
    assert.same({ "system", "user", "assistant", "tool", "user" },
      { messages[1].role, messages[2].role, messages[3].role, messages[4].role, messages[5].role })
    assert.equal("Reading.", messages[3].content)
    assert.same({ id = "toolu_1", type = "function", ["function"] = { name = "Read", arguments = '{"path":"a"}' } },
      messages[3].tool_calls[1])
    assert.equal("toolu_1", messages[4].tool_call_id)
    assert.equal("text of a", messages[4].content)
    assert.equal("And now?", messages[5].content)
  end)

  it("keeps a pattern that RE2 does not know in the description", function()
    local doc = repaired(agents["Codex-style"], models[1])
    local command = doc.tools[1]["function"].parameters.properties.command
    assert.is_nil(command.pattern)
    assert.equal("(Must match the pattern ^(?!rm))", command.description)
  end)

  it("has its references inlined, and those to itself ended", function()
    local doc = repaired(agents.OpenCode, models[1])
    assert.equal('{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"pattern":'
      .. '{"type":"string"},"filter":{"type":"object","properties":{"and":{"type":"object"}}}}}',
      json.text(doc.tools[1]["function"].parameters))
  end)

  it("has single types for MiniMax, and nullable ones for the others", function()
    local function timeout(model)
      local doc = repaired(agents.Hermes, model)
      return json.table(doc.tools[1]["function"].parameters.properties.timeout_ms)
    end
    assert.same({ type = "number" }, timeout "MiniMaxAI/MiniMax-M2.7")
    assert.same({ type = json.array { "number", "null" } }, timeout "moonshotai/Kimi-K2.6")
  end)

  it("speaks to GLM as system where it said developer", function()
    assert.equal("system", repaired(agents.OpenClaw, "zai-org/GLM-5.3-Flash").messages[1].role)
    assert.equal("developer", repaired(agents.OpenClaw, "moonshotai/Kimi-K2.6").messages[1].role)
  end)
end)
