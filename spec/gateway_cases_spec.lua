-- Recorded outcomes of the Gonka network's gateway: ours must be the same.
local cases = require "perilune.cli.cases"
local json = require("perilune").json

local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

-- What seven cases say of the network in their note only, written as states.
local states = {}
for _, line in ipairs(lines "spec/vectors/gateway-states.jsonl") do
  local entry = json.decode(line)
  states[entry.id] = entry
end

local function id_of(line)
  return line:match '"id": "([^"]+)"'
end

local function disagreements(list, given)
  local differing, counts = {}, { agree = 0, differ = 0, outside = 0 }
  for _, line in ipairs(list) do
    local entry = given[id_of(line)]
    local result, detail, case = cases.emulate(line, entry and entry.state)
    counts[result] = counts[result] + 1
    if result ~= "agree" then differing[#differing + 1] = case.id .. ": " .. detail end
  end
  return table.concat(differing, "\n"), counts
end

describe("the gateway's rules", function()
  local requests = lines "spec/vectors/gateway-cases.jsonl"

  it("give all 1083 recorded outcomes: status, action, field, message, and what goes on", function()
    local differing, counts = disagreements(requests, states)
    assert.equal("", differing)
    assert.equal(1083, counts.agree)
  end)

  it("give the 91 outcomes of the newer gateway that are recorded beside them", function()
    local count = 0
    for _, line in ipairs(requests) do
      local case = json.decode(line)
      if case.expect_next then
        count = count + 1
        -- As a newer one the first outcome would not do: otherwise this said nothing.
        case.expect, case.expect_next = case.expect_next, nil
        assert.equal("differ", (cases.emulate(json.encode(case))), case.id)
      end
    end
    assert.equal(91, count)
  end)

  it("leave out, by name, what a case says in its note only", function()
    local left_out = {}
    for _, line in ipairs(requests) do
      local result, why, case = cases.emulate(line)
      if result == "outside" then
        left_out[#left_out + 1] = case.id
        assert.equal(case.note, why:match "only its note: (.*)$")
        assert.equal(case.note, states[case.id].note)
      end
    end
    assert.same({ "gw-gateway-009", "gw-gateway-017", "gw-gateway-018", "gw-gateway-019", "gw-gateway-020",
      "gw-gateway-021", "gw-gateway-022" }, left_out)
  end)

  it("notice every kind of disagreement", function()
    local request = [["request": {"model": "m", "user": null, "messages": []}, "model": "m", "id": "x", "expect": ]]
    local right = '{"status": 400, "action": "reject", "field": "user", "message_contains": "must be a string"}'
    local function run(expect) return (cases.emulate("{" .. request .. expect .. "}")) end
    assert.equal("agree", run(right))
    for _, change in ipairs { { "400", "422" }, { "reject", "pass" }, { '"user"', '"seed"' }, { "must", "may" } } do
      assert.equal("differ", run((right:gsub(change[1], change[2]))), change[1])
    end
  end)

  it("agree with an own reading of the facts: which fault comes first, numbers, Unicode, nesting, states", function()
    local own = lines "spec/vectors/rules-own-cases.jsonl"
    local differing, counts = disagreements(own, {})
    assert.equal("", differing)
    assert.equal(#own, counts.agree)
    assert.is_true(#own >= 270)
  end)
end)

describe("repairs", function()
  -- Requests that the network takes and the engine behind it then refuses or mishandles, or whose repair says the same
  -- in other words. For each, why the request that goes on is another one.
  local better = {
    ["null means not given"] = { "gw-h0435", "gw-min_tokens-0126", "gw-min_tokens-0130", "gw-bad_words-0225",
      "gw-max_completion_tokens-0164", "gw-stop_token_ids-0217", "gw-parallel_tool_calls-0247",
      "gw-skip_special_tokens-0252", "gw-detokenize-0257", "gw-structured_outputs-0912",
      "gw-thinking_token_budget-0593" },
    ["a choice among no tools, or of one that is not declared"] = { "gw-h0036", "gw-h0159", "gw-h0471", "gw-h0472",
      "gw-h0473", "gw-h0475", "gw-tool_choice-0786", "gw-tool_choice-0797" },
    ["think:false is what the client asked for"] = { "gw-h0148" },
    ["the engine takes no value of this type"] = { "gw-top_k-0034", "gw-stop-0207", "gw-stop-0208",
      "gw-stop_token_ids-0216", "gw-stop_token_ids-0218", "gw-logit_bias-0234", "gw-logit_bias-0235",
      "gw-logit_bias-0236", "gw-logit_bias-0237", "gw-logit_bias-0238", "gw-logit_bias-0241",
      "gw-thinking_token_budget-0592", "gw-thinking_token_budget-0594", "gw-thinking_token_budget-0595" },
    ["n is 1 for a greedy request, and the rules ran twice"] = { "gw-n-0100" },
  }

  local results = {}
  setup(function()
    for _, line in ipairs(lines "spec/vectors/gateway-cases.jsonl") do
      local entry = states[id_of(line)]
      local result, detail, case = cases.repair(line, entry and entry.state)
      results[result] = results[result] or {}
      results[result][case.id] = detail
    end
  end)

  local function count(result)
    local n = 0
    for _ in pairs(results[result] or {}) do n = n + 1 end
    return n
  end

  it("make 370 of the 471 refused requests acceptable", function()
    assert.equal(370, count "repaired")
    assert.equal(101, count "refused")
  end)

  -- Why nothing can be done about the others: patterns of what the network says of them, and how many there are.
  local irreparable = {
    { "it is no request", 6, "^parse request: [^m]", "^request body" },
    { "no model can be read from it", 3, "^parse request: model" },
    { "it asks for what the network does not do", 15, "^Chat completions parameter" },
    { "nothing is said in it, or nothing that is a message", 17, "^messages is required", "^messages must not be empty",
      "^messages%[%d%] must be an object", "content: must not be empty", "content: is required", "text: is required",
      "content: must be a string" },
    { "a part is no text", 7, "content%[%d%]%.type" },
    { "whose message it is can not be told", 1, "role: must be a string" },
    { "a message says what its role can not", 3, "is not allowed for this role" },
    { "a tool can not be read", 5, "^tools" },
    { "a call or a result does not say of which function", 9, "tool_calls%[%d%] must be", "function must be an object$",
      "function%.name", "%]%.name:" },
    { "what the answer must be like can not be read", 14, "^response_format%.?%l*: ", "schema: invalid shape",
      "invalid wrapper shape", "invalid shape", "must compile", "non%-empty string array" },
    { "it asks for two forms at once", 3, "exactly one of" },
    { "what binds the answer is too large for the network", 18, "exceed" },
  }

  it("leave those refused for which there is nothing to be done, by these reasons", function()
    local counts = {}
    for id, message in pairs(results.refused) do
      local reason
      for _, row in ipairs(irreparable) do
        for i = 3, #row do reason = reason or message:find(row[i]) and row[1] end
      end
      reason = reason or id .. ": " .. message
      counts[reason] = (counts[reason] or 0) + 1
    end
    local expected = {}
    for _, row in ipairs(irreparable) do expected[row[1]] = row[2] end
    assert.same(expected, counts)
  end)

  it("never spoil a request that was accepted", function()
    assert.same({}, results.broken or {})
    local counts = { accepted = 0 }
    for _, line in ipairs(lines "spec/vectors/rules-own-cases.jsonl") do
      local result = cases.repair(line)
      counts[result] = (counts[result] or 0) + 1
    end
    assert.is_nil(counts.broken)
    assert.is_true(counts.accepted >= 90)
  end)

  it("change nothing for the network but what is listed here with its reason", function()
    local listed = {}
    for _, ids in pairs(better) do
      for _, id in ipairs(ids) do listed[id] = true end
    end
    local changed = {}
    for id in pairs(results.changed) do changed[id] = true end
    assert.same(listed, changed)
    assert.equal(565, count "accepted")
  end)
end)

describe("the gateway's reading of answers", function()
  it("gives all 77 recorded outcomes", function()
    local recorded, differing = lines "spec/vectors/gateway-response-cases.jsonl", {}
    assert.equal(77, #recorded)
    for _, line in ipairs(recorded) do
      local result, detail, case = cases.answer(line)
      if result ~= "agree" then differing[#differing + 1] = case.id .. ": " .. detail end
    end
    assert.equal("", table.concat(differing, "\n"))
  end)
end)

describe("perilune check", function()
  local process = require "spec.support.process"
  local program = (os.getenv "PERILUNE_BUILD" or "build") .. "/perilune"

  local function run(arguments, input)
    local directory = process.directory()
    local path = directory .. "/input"
    local file = assert(io.open(path, "wb"))
    file:write(input or "")
    file:close()
    local pipe = io.popen(("%s check %s < %s 2>&1; echo $?"):format(program, arguments:gsub("@", path), path))
    local out, code = pipe:read "a":match "^(.*)(%d+)\n$"
    pipe:close()
    return out, tonumber(code)
  end

  it("says how many recorded cases agree", function()
    local out, code = run "--cases spec/vectors/gateway-cases.jsonl"
    local left_out = "gw-gateway-009: left out: no member says which shards take work, only its note: no shard"
    assert.truthy(out:find(left_out, 1, true), out)
    assert.truthy(out:find("1076 agree, 0 differ, 7 left out\n$"), out)
    assert.equal(0, code)
    out, code = run "--cases spec/vectors/gateway-cases.jsonl --states spec/vectors/gateway-states.jsonl"
    assert.equal("1083 agree, 0 differ\n", out)
    assert.equal(0, code)
    out, code = run "--cases spec/vectors/gateway-response-cases.jsonl"
    assert.equal("77 agree, 0 differ\n", out)
    assert.equal(0, code)
  end)

  it("says of a line that is no case why it is none, and goes on", function()
    local out, code = run("--cases @", '{"id":"x"}\n5\n{"id":"y","model":"m","request":{"messages":[]},"expect":'
      .. '{"status":400,"action":"reject","field":"messages","message_contains":"messages must not be empty"}}\n')
    assert.truthy(out:find("^x: no case that can be run: .-\n%?: no JSON object\n1 agree, 2 differ\n$"), out)
    assert.equal(1, code)
  end)

  it("names each disagreement and fails", function()
    local out, code = run("--cases @",
      '{"id":"x","model":"m","request":{"messages":[]},"expect":{"status":200,"action":"pass"}}\n')
    assert.equal("x: 400 messages must not be empty, expected 200 accepted\n0 agree, 1 differ\n", out)
    assert.equal(1, code)
  end)

  it("says what would be changed in a request, and whether the network takes it", function()
    local out, code = run("--request - --model other", '{"tags":1,"max_tokens":9,"messages":'
      .. '[{"role":"user","content":"hi"}]}')
    assert.truthy(out:find('^as it is: refused: 400 Chat completions parameter "tags"'), out)
    assert.truthy(out:find('\n  dropped tags\nrepaired: accepted\n'
      .. '{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}\n', 1, true), out)
    assert.equal(0, code)
    out, code = run("--request @", '{"messages":[]}')
    assert.truthy(out:find("repaired: refused: 400 messages must not be empty (messages)", 1, true), out)
    assert.equal(1, code)
  end)

  it("says what all policies of the network change, for the model it is asked about", function()
    local out, code = run("--request - --model moonshotai/kimi-k2.6", '{"model":"gpt-4","max_tokens":9,'
      .. '"tool_choice":"required","tools":[{"type":"function","function":{"name":"f"}}],"messages":['
      .. '{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"x","type":"function",'
      .. '"function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":"r"}]}')
    assert.equal(0, code)
    assert.truthy(out:find("  tool_choice became auto\n  max_tokens became 16\n  added thinking_token_budget 0\n"
      .. "  told the model to call a tool\n  renamed calls as the model wants them\nrepaired: accepted\n", 1, true),
      out)
    assert.truthy(out:find('"id":"functions.f:0"', 1, true), out)
  end)

  it("names the byte that is no JSON, also when it is no character", function()
    local out = run("--request -", "\xff{}")
    assert.truthy(out:find("invalid character 'ÿ' looking for beginning of value", 1, true), out)
  end)

  it("knows its flags", function()
    local out, code = run "--cases"
    assert.equal("perilune check: --cases takes a value\n", out)
    assert.equal(2, code)
    out = run "--cases @ --profile other"
    assert.equal("perilune check: --profile takes emulate or repair, got 'other'\n", out)
    out, code = run "--request ."
    assert.equal("perilune check: .: Is a directory\n", out)
    assert.equal(2, code)
    out, code = run("--cases @ --states @", '{"id":"x"}')
    assert.truthy(out:find(':1: expected {"id":…,"state":{…}}\n', 1, true), out)
    assert.equal(2, code)
  end)
end)
