--- What a client can make of a request of a given size, and what it costs the shipped policies to look at it: ten times
--- the bytes may cost ten times as much, not a hundred times. Ratios of CPU time between sizes, never durations.
--- PERILUNE_SHAPES=full goes on to 10 and 30 MB. The table is printed.
local answers = require "perilune.gonka.answers"
local attachments = require "perilune.gonka.rules.attachments"
local burn = require "perilune.gonka.burn"
local call_hint = require "perilune.gonka.rules.call_hint"
local context = require "perilune.gonka.rules.context"
local gateway = require "perilune.gonka.rules.gateway"
local json = require("perilune").json
local models = require "perilune.gonka.rules.models"
local repair = require "perilune.gonka.rules.repair"
local special_tokens = require "perilune.gonka.rules.special_tokens"
local tool_ids = require "perilune.gonka.tool_ids"

io.stdout:setvbuf "line"

local KB = 1000

--- `make(i)` again and again, until they and the commas between them are `bytes` long.
local function fill(bytes, make)
  local parts, size, i = {}, 0, 0
  while size < bytes do
    i = i + 1
    parts[i] = make(i)
    size = size + #parts[i] + 1
  end
  return table.concat(parts, ",")
end

local function request(members)
  return '{"model":"m",' .. members .. "}"
end

local function chat(members)
  return request('"messages":[{"role":"user","content":"hi"}],' .. members)
end

local function tool(parameters)
  return '"tools":[{"type":"function","function":{"name":"f","parameters":' .. parameters .. "}}]"
end

local function same(text)
  return function() return text end
end

-- Each makes the text of a request of about so many bytes.
local shapes = {
  { "stop, texts", function(n) return chat('"stop":[' .. fill(n, same '""') .. "]") end },
  { "stop, mixed", function(n) return chat('"stop":[' .. fill(n, function(i)
    return i % 2 == 0 and "null" or '"s' .. i .. '"' end) .. "]") end },
  { "stop_token_ids", function(n) return chat('"stop_token_ids":[' .. fill(n, function(i)
    return i % 3 == 0 and '"7"' or "-1" end) .. "]") end },
  { "bad_words, blank", function(n) return chat('"bad_words":[' .. fill(n, same '" "') .. "]") end },
  { "bad_words, mixed", function(n) return chat('"bad_words":[' .. fill(n, function(i)
    return i % 3 == 0 and "null" or i % 3 == 1 and '" "' or '"w"' end) .. "]") end },
  { "logit_bias", function(n) return chat('"logit_bias":{' .. fill(n, function(i)
    return '"' .. i .. '":' .. (i % 2 == 0 and "1000" or '"x"') end) .. "}") end },
  { "metadata", function(n) return chat('"metadata":{' .. fill(n, function(i)
    return '"k' .. i .. '":' .. i end) .. "}") end },
  { "stream_options", function(n) return chat('"stream":true,"stream_options":{' .. fill(n, function(i)
    return '"k' .. i .. '":1' end) .. "}") end },
  { "unknown members", function(n) return chat(fill(n, function(i) return '"k' .. i .. '":null' end)) end },
  { "one member again", function(n) return chat(fill(n, same '"stop":"x"')) end },
  { "extra_body", function(n) return chat('"extra_body":{' .. fill(n, function(i)
    return '"k' .. i .. '":1' end) .. "}") end },
  { "messages, empty", function(n) return request('"messages":[' .. fill(n, function(i)
    return i % 2 == 0 and '{"role":"user","content":""}' or "null" end)
    .. ',{"role":"user","content":"hi"}]') end },
  { "messages, short", function(n) return request('"messages":[' .. fill(n, function(i)
    return '{"role":"' .. (i % 2 == 0 and "assistant" or "human") .. '","content":"hi"}' end) .. "]") end },
  { "messages, numbers", function(n) return request('"messages":[' .. fill(n, same "1") .. "]") end },
  { "results of nothing", function(n) return request('"messages":[{"role":"user","content":"hi"},' .. fill(n,
    function(i) return '{"role":"tool","tool_call_id":"t' .. i .. '","content":"r"}' end) .. "]") end },
  { "calls, unanswered", function(n) return request('"messages":[{"role":"user","content":"hi"},' .. fill(n,
    function(i)
      return '{"role":"assistant","tool_calls":[{"id":"t' .. i .. '","type":"function","function":{"name":"f",'
        .. '"arguments":"{}"}}]},{"role":"tool","tool_call_id":"none","content":"r"}'
    end) .. "]") end },
  { "calls, one id", function(n) return request('"messages":[{"role":"user","content":"hi"},{"role":"assistant",'
    .. '"tool_calls":[' .. fill(n / 2, same '{"id":"a","type":"function","function":{"name":"f","arguments":{}}}')
    .. "]}," .. fill(n / 2, same '{"role":"tool","tool_call_id":"a","content":"r"}') .. "]") end },
  { "calls, no ids", function(n) return request('"messages":[{"role":"user","content":"hi"},{"role":"assistant",'
    .. '"tool_calls":[' .. fill(n / 2, same '{"function":{"name":"f"}}') .. "]},"
    .. fill(n / 2, same '{"role":"tool","content":"r"}') .. "]") end },
  { "calls in content", function(n) return request('"messages":[{"role":"assistant","content":[' .. fill(n,
    same '{"type":"tool_use","name":"f","input":{}}') .. "]}]") end },
  { "results in content", function(n) return request('"messages":[{"role":"user","content":[' .. fill(n, function(i)
    return '{"type":"tool_result","tool_use_id":"t' .. i .. '","content":"r"}' end) .. "]}]") end },
  { "results in messages", function(n) return request('"messages":[' .. fill(n, function(i)
    return '{"role":"user","content":[{"type":"tool_result","tool_use_id":"t' .. i .. '","content":"r"}]}' end)
    .. "]") end },
  { "content, parts", function(n) return request('"messages":[{"role":"user","content":[' .. fill(n,
    same '{"type":"text","text":"a"}') .. "]}]") end },
  { "content, no parts", function(n) return request('"messages":[{"role":"user","content":[' .. fill(n,
    same "null") .. "]}]") end },
  { "content, images", function(n) return request('"messages":[{"role":"user","content":[' .. fill(n,
    same '{"type":"image_url"}') .. "]}]") end },
  { "text, long", function(n) return request('"messages":[{"role":"user","content":"'
    .. ("a\\n"):rep(n // 3) .. '"}]') end },
  { "text, blank", function(n) return request('"messages":[{"role":"user","content":"'
    .. ("\u{2003}"):rep(n // 3) .. '"}]') end },
  { "text, marks", function(n) return request('"messages":[{"role":"assistant","content":"'
    .. ("<|a[[EOS]<think>"):rep(n // 16) .. '"}]') end },
  { "reasoning", function(n) return request('"messages":[' .. fill(n,
    same '{"role":"assistant","content":"a","reasoning":"b","reasoning_content":"c"}') .. "]") end },
  { "tools", function(n) return chat('"tools":[' .. fill(n, function(i)
    return '{"type":"function","function":{"name":"f' .. i .. '"}}' end) .. "]") end },
  { "tools, wrong", function(n) return chat('"tools":[' .. fill(n, same '{"type":"x"}') .. "]") end },
  { "tools, one name", function(n) return chat('"tools":[' .. fill(n, same '{"name":"f","parameters":{}}')
    .. '],"functions":[' .. fill(n, same '{"name":"f"}') .. "]") end },
  { "schema, wide", function(n) return chat(tool('{"type":"object","properties":{' .. fill(n, function(i)
    return '"k' .. i .. '":{"type":"str"}' end) .. "}}")) end },
  { "schema, nested", function(n) return chat(tool(fill(n, function()
    return '{"properties":{"a":{"items":{"anyOf":[{"type":"str"},{"type":["a","null"]}]}}}}' end)
    :gsub("^", '{"anyOf":[') .. "]}")) end },
  { "schema, required", function(n) return chat(tool('{"type":"object","required":[' .. fill(n / 2, function(i)
    return '"k' .. i .. '"' end) .. '],"properties":{' .. fill(n / 2, function(i) return '"k' .. i .. '":{}' end)
    .. "}}")) end },
  { "schema, references", function(n) return chat(tool('{"properties":{' .. fill(n / 2, function(i)
    return '"k' .. i .. '":{"$ref":"#/$defs/A"}' end) .. '},"$defs":{"A":{"properties":{' .. fill(n / 2,
    function(i) return '"p' .. i .. '":{"$ref":"#/$defs/A"}' end) .. "}}}}")) end },
  { "schema, types", function(n) return chat(tool('{"type":[' .. fill(n, same '"str"') .. '],"enum":['
    .. fill(n, same '"a"') .. "]}")) end },
  { "schema, one key", function(n) return chat(tool('{"properties":{' .. fill(n / 2, same '"a":{"type":"str"}')
    .. ',"a":{"anyOf":[' .. fill(n / 2, same '{"type":"str"}') .. "]}}}")) end },
  { "schema, pattern", function(n) return chat(tool('{"type":"string","pattern":"' .. ("(?<a"):rep(n // 4) .. '"}'))
    end },
  { "schema of the answer", function(n) return chat('"response_format":{"type":"json_schema","json_schema":{"name":"'
    .. ("n "):rep(n // 4) .. '","schema":{"properties":{' .. fill(n / 2, function(i)
    return '"k' .. i .. '":{"type":"str"}' end) .. "}}}}") end },
  { "choices of the answer", function(n) return chat('"structured_outputs":{"choice":[' .. fill(n, same "1")
    .. "]}") end },
  { "answer of a provider", function(n) return '{"choices":[' .. fill(n, function(i)
    return '{"index":' .. i .. ',"message":{"role":"assistant","content":"<think>a</think>b","tool_calls":['
      .. '{"id":"a","function":{"name":"f","arguments":{}}}],"logprobs":{}},"logprobs":null,"token_ids":[1]}' end)
    .. '],"usage":{}}' end },
  { "event of a provider", function(n) return '{"choices":[{"index":0,"delta":{"tool_calls":[' .. fill(n, function(i)
    return i % 2 == 0 and '{"index":0,"function":{"arguments":""}}'
      or '{"index":0,"id":"a","function":{"name":"f","arguments":""}}' end) .. "]}}]}" end },
}

-- ---- What looks at them ----

local off = repair.off()

local function messages_of(doc)
  local messages = doc.messages
  return json.kind(messages) == "array" and messages or nil
end

local function on_messages(act)
  return function(doc)
    local messages = messages_of(doc)
    if messages then act(messages) end
  end
end

local function answer_ids(doc)
  local memory = tool_ids.remember(json.document "[]", {})
  tool_ids.answer(doc, memory, false)
  tool_ids.answer(json.document(json.text(doc)), memory, true)
end

-- What each policy does with a body, and what modules do that no policy calls by default.
local looks = {
  { "gonka_rules, repair", function(doc)
    attachments.note(doc.messages)
    local wants = call_hint.is_wanted(doc)
    local c, message = repair.document(doc, { model = "moonshotai/Kimi-K2.6", off = off })
    if not message and wants then call_hint.add(doc.messages, call_hint.usual) end
    special_tokens.break_up(doc.messages)
    return repair.summary(c)
  end },
  { "gonka_rules, emulate", function(doc)
    if json.depth(doc) > 32 then return end
    gateway.run(context.new(doc, { model = "moonshotai/Kimi-K2.6", is_exact = true }))
  end },
  { "gateway, as text", function(_, text) gateway.text(text, { model = "m" }) end },
  { "tool_ids", on_messages(function(messages)
    tool_ids.serialise_arguments(messages)
    local _, original = tool_ids.to_unique(messages)
    tool_ids.remember(messages, original)
    tool_ids.to_functions(messages)
  end) },
  { "tool_ids, answer", answer_ids },
  { "gonka_answers", function(doc)
    answers.ask_usage(doc)
    on_messages(answers.unspell_reasoning)(doc)
    on_messages(answers.join_think)(doc)
    answers.strip(doc, { token_ids = true })
    answers.strip(doc, {})
    answers.split_think(doc, {})
    answers.spell_reasoning(doc, "reasoning")
    burn.ask_again(doc, models.of "moonshotai/Kimi-K2.6", { seed = 1, tokens = 10 })
  end },
}

-- Seconds of CPU after which a look is given up: what is quadratic would go on for hours.
local HOPELESS = 20

--- A request may be too large for the limits of a document; it may not take long to find that out.
local function may_fail(why)
  return why:find "outgrow" or why:find "hold more" or why:find "too slow"
end

--- CPU milliseconds of one look, the least of a few: what else runs on the machine only adds. nil: no document can hold
--- the request.
local function cost(look, text, rounds)
  local least = math.huge
  for _ = 1, rounds do
    local doc = json.document(text)
    if not doc then return nil end -- more values than a document may have
    local before = os.clock()
    debug.sethook(function()
      if os.clock() - before > HOPELESS then error "too slow" end
    end, "", 100000)
    local ok, why = pcall(look, doc, text)
    debug.sethook()
    least = math.min(least, (os.clock() - before) * 1000)
    if not ok and not may_fail(tostring(why)) then error(why, 0) end
    collectgarbage()
  end
  return least
end

local is_full = os.getenv "PERILUNE_SHAPES" == "full"
local sizes = is_full and { 10 * KB, 100 * KB, 1000 * KB, 10000 * KB, 30000 * KB } or { 40 * KB, 320 * KB }
-- Twice of linear, for caches that no longer hold it and the collector; less than this many ms say nothing.
local SLACK, LEAST = 2.5, 4

--- Is the second size dearer than its size explains? Less than LEAST says nothing.
local function is_steep(last, ms, growth)
  return ms > LEAST and ms > SLACK * math.max(last, LEAST / SLACK / 2) * growth
end

local function header()
  local line = { ("%-24s"):format "ms of CPU" }
  for _, size in ipairs(sizes) do line[#line + 1] = ("%8d KB"):format(size // KB) end
  return table.concat(line)
end

for _, look in ipairs(looks) do
  describe("the cost of " .. look[1], function()
    it("grows with the size of the body, whatever its shape", function()
      local steep = {}
      print("\n" .. look[1] .. "\n" .. header())
      for _, shape in ipairs(shapes) do
        local line, last, last_size = { ("%-24s"):format(shape[1]) }, nil, nil
        for _, size in ipairs(sizes) do
          local text = shape[2](size)
          local ms = cost(look[2], text, size <= 100 * KB and 3 or 1)
          if not ms then break end
          -- What is quadratic is so every time; what a neighbour took from the caches is not.
          for _ = 1, 3 do
            if not last or not is_steep(last, ms, size / last_size) then break end
            ms = math.min(ms, cost(look[2], text, 1))
          end
          line[#line + 1] = ("%11.2f"):format(ms)
          if last and is_steep(last, ms, size / last_size) then
            steep[#steep + 1] = ("%s: %.1f ms at %d KB, %.1f at %d"):format(shape[1], last, last_size // KB, ms,
              size // KB)
            line[#line + 1] = " !"
            break
          end
          last, last_size = ms, size
        end
        print(table.concat(line))
      end
      assert.same({}, steep)
    end)
  end)
end
