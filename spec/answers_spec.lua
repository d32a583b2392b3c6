--- Answers as clients get them: reasoning in its own field, nothing of the network's own.
local answers = require "perilune.gonka.answers"
local cjson = require "cjson"
local json = require("perilune").json
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

--- Split a text that arrives in the given pieces.
local function split(pieces)
  local s, said, thought = answers.splitter(), "", ""
  for i, piece in ipairs(pieces) do
    local content, reasoning = answers.split(s, piece, i == #pieces)
    said, thought = said .. content, thought .. reasoning
  end
  return said, thought
end

describe("answers.split", function()
  local text = "<think>why < so?</think>\n\nBecause <b>."

  it("finds the reasoning wherever the text is cut", function()
    for i = 0, #text do
      for k = i, #text do
        local said, thought = split { text:sub(1, i), text:sub(i + 1, k), text:sub(k + 1) }
        assert.equal("why < so?", thought)
        assert.equal("\n\nBecause <b>.", said)
      end
    end
  end)

  it("leaves a text without tags alone", function()
    assert.same({ "a < b", "" }, { split { "a ", "<", " b" } })
    assert.same({ "<thin", "" }, { split { "<thin" } })
  end)

  it("gives everything to the reasoning when the text ends inside", function()
    assert.same({ "", "why </thi" }, { split { "<think>why ", "</thi" } })
  end)

  it("joins blanks that it holds back once, however many events bring them", function()
    local s = answers.splitter()
    for _ = 1, 1000 do
      assert.equal("", (answers.split(s, " \n")))
      assert.equal("", s.held)
    end
    assert.equal("", (answers.split(s, "<thi")))
    assert.equal((" \n"):rep(1000) .. "<this", (answers.split(s, "s")))
    s = answers.splitter()
    for _ = 1, 10 do answers.split(s, " ") end
    assert.equal((" "):rep(11), (answers.split(s, " ", true)))
    for _ = 1, 10 do answers.split(s, " ") end
    assert.same({ "b", "a" }, { answers.split(s, "<think>a</think>b") })
  end)

  it("takes an answer that only closes as one whose template opened", function()
    assert.same({ "\n\nso", "why" }, { answers.split_whole "why</think>\n\nso" })
    assert.same({ "so" }, { answers.split_whole "so" })
  end)
end)

describe("answers.split_think", function()
  local function heard(...)
    local splitters, texts = {}, {}
    for i, text in ipairs { ... } do
      local body = json.document(text)
      answers.split_think(body, splitters)
      answers.spell_reasoning(body, "reasoning_content")
      texts[i] = json.encode(body)
    end
    return table.concat(texts)
  end

  it("lets go of what it held back when the end has no delta", function()
    local start = '{"choices":[{"index":0,"delta":{"content":"<think>a </th"}}]}'
    for _, finish in ipairs { '{"choices":[{"index":0,"finish_reason":"length"}]}',
      '{"choices":[{"index":0,"delta":null,"finish_reason":"length"}]}' } do
      assert.matches('"reasoning_content":"</th"', heard(start, finish), 1, true)
    end
  end)

  it("passes by what providers write where there is nothing", function()
    for _, text in ipairs { "5", "[]", '{"choices":null}', '{"choices":[null,5]}', '{"choices":[{"delta":null}]}' } do
      assert.equal(text, heard(text))
    end
  end)
end)

describe("the policy gonka_answers", function()
  teardown(process.stop_all)

  local function start_with(start, p, options)
    options = options or {}
    options.networks = {}
    return start {
      policy = { budget = "10s" }, -- a busy machine may stand still for long
      providers = { router.provider("a", p, { models = { "MiniMaxAI/MiniMax-M2.7", "other" } }) },
      policies = { { file = os.getenv "PWD" .. "/policies/gonka_answers.lua", options = options } },
    }
  end

  --- Deltas of a streamed answer, joined: content, reasoning.
  local function told(answer)
    local said, thought = "", ""
    for data in answer.body:gmatch "data: ({[^\n]*})" do
      for _, choice in ipairs(cjson.decode(data).choices) do
        local delta = choice.delta
        if type(delta.content) == "string" then said = said .. delta.content end
        if type(delta.reasoning_content) == "string" then thought = thought .. delta.reasoning_content end
      end
    end
    return said, thought
  end

  it("gives reasoning its own field to those who ask", router.test(function(start)
    local p = provider.start(provider.tokens { "<thi", "nk>why", "</think>", "\n", "so" })
    local r = start_with(start, p)
    local body = router.chat_body { model = "MiniMaxAI/MiniMax-M2.7", stream = true }
    assert.same({ "\nso", "why" }, { told(r:ask("POST", "/v1/chat/completions", body,
      { ["x-perilune-reasoning"] = "split" })) })
    assert.same({ "<think>why</think>\nso", "" }, { told(r:ask("POST", "/v1/chat/completions", body)) })
  end))

  it("puts reasoning back for the model", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p, { think = "always" })
    r:ask("POST", "/v1/chat/completions", cjson.encode { model = "MiniMaxAI/MiniMax-M2.7", messages = {
      { role = "user", content = "a" }, { role = "assistant", content = "so", reasoning_content = "why" },
      { role = "user", content = "b" } } })
    local sent = p.requests[1].json.messages[2]
    assert.equal("<think>why</think>so", sent.content)
    assert.is_nil(sent.reasoning_content)
  end))

  it("gives the model back what it wrote, to the letter", router.test(function(start)
    local p = provider.start()
    local r = start_with(start, p)
    local asking = { ["x-perilune-reasoning"] = "split" }
    for _, text in ipairs { "<think>why</think>\n\nso", "<think>\n why \n</think>so", "<think>why</think> \n so\n",
      "<think>why</think>\n", "so <think>" } do
      p:answer(provider.reply(200, provider.completion(text)))
      local question = { role = "user", content = "a" }
      local said = r:ask("POST", "/v1/chat/completions",
        cjson.encode { model = "MiniMaxAI/MiniMax-M2.7", messages = { question } }, asking).json.choices[1].message
      if text ~= "so <think>" then assert.is_nil(said.content:find("think", 1, true)) end
      r:ask("POST", "/v1/chat/completions",
        cjson.encode { model = "MiniMaxAI/MiniMax-M2.7", messages = { question, said, question } }, asking)
      assert.equal(text, p.requests[#p.requests].json.messages[2].content)
    end
  end))

  it("calls reasoning what the client calls it, there and back", router.test(function(start)
    local f = provider.frames
    local r, p
    local function ask(how, name, ...)
      p = p or provider.start()
      p:answer(provider.stream { f.role, f.delta { [how] = "why" }, f.token "so", f.finish(), f.done })
      r = r or start_with(start, p)
      local answer = r:ask("POST", "/v1/chat/completions", cjson.encode { model = "other", stream = true,
        messages = { { role = "user", content = "a" }, ... } }, { ["x-perilune-reasoning"] = name })
      for _, event in ipairs(router.read_stream(answer.body).events) do
        local delta = event.choices[1].delta
        local one, other = delta.reasoning, delta.reasoning_content
        if one or other then return { one or "", other or "" } end
      end
    end
    assert.same({ "why", "" }, ask("reasoning", "reasoning"))
    assert.same({ "why", "" }, ask("reasoning_content", "reasoning"))
    assert.same({ "", "why" }, ask("reasoning", "reasoning_content"))
    assert.same({ "", "why" }, ask("reasoning_content", nil))
    ask("reasoning", "reasoning", { role = "assistant", content = "so", reasoning = "why" })
    local sent = p.requests[#p.requests].json.messages[2]
    assert.equal("why", sent.reasoning_content)
    assert.is_nil(sent.reasoning)
  end))

  it("gives inline reasoning the name that the client asks for", router.test(function(start)
    local p = provider.start(provider.reply(200, provider.completion "<think>why</think>so"))
    local r = start_with(start, p)
    local said = r:ask("POST", "/v1/chat/completions", router.chat_body { model = "MiniMaxAI/MiniMax-M2.7" },
      { ["x-perilune-reasoning"] = "reasoning" }).json.choices[1].message
    assert.same({ "so", "why" }, { said.content, said.reasoning })
    assert.is_nil(said.reasoning_content)
  end))

  it("takes out logprobs unless they were asked for", router.test(function(start)
    local p = provider.start(provider.reply(200, '{"choices":[{"index":0,"logprobs":{"content":[]},"token_ids":[1],'
      .. '"message":{"content":"x"}}],"prompt_token_ids":[1]}'))
    local r = start_with(start, p)
    assert.equal('{"choices":[{"index":0,"message":{"content":"x"}}]}', r:chat({ model = "other" }).body)
    assert.equal('{"choices":[{"index":0,"logprobs":{"content":[]},"message":{"content":"x"}}]}',
      r:chat({ model = "other", logprobs = true }).body)
  end))

  it("tells usage in a stream only to those who asked", router.test(function(start)
    local p = provider.start(provider.tokens({ "x" }, { usage = true }))
    local r = start_with(start, p)
    local quiet = r:chat { model = "other", stream = true }
    assert.is_nil(quiet.body:find('"total_tokens"', 1, true), quiet.body)
    local told_usage = r:chat { model = "other", stream = true, stream_options = { include_usage = true } }
    assert.truthy(told_usage.body:find('"total_tokens"', 1, true), told_usage.body)
  end))

  it("sees a whole completion where a stream should be as it sees the stream", router.test(function(start)
    local whole = '{"object":"chat.completion","choices":[{"index":0,"finish_reason":"tool_calls","logprobs":{"a":1},'
      .. '"message":{"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c","type":'
      .. '"function","function":{"name":"f","arguments":"{}"}}]}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    local p = provider.start()
    p:next(provider.stream { "data: " .. whole .. "\n\n", provider.frames.done }, provider.reply(200, whole),
      provider.stream { provider.frames.token "x", "data: " .. whole .. "\n\n", provider.frames.done })
    local r = start_with(start, p)
    for turn = 1, 3 do
      local answer = r:stream { model = "other" }
      assert.is_nil(answer.body:find("logprobs", 1, true), answer.body)
      assert.is_true(answer.body:find('"usage":{', 1, true) == nil, answer.body)
      assert.is_true(answer.stream.done)
      local delta = answer.stream.events[turn == 3 and 2 or 1].choices[1].delta
      assert.equal("hm", delta.reasoning_content)
      assert.same({ index = 0, id = "c", type = "function", ["function"] = { name = "f", arguments = "{}" } },
        delta.tool_calls[1])
      assert.equal(2, r:await_requests(turn)[turn].out_tokens)
    end
  end))

  -- A provider that has to be asked for usage, and then says null in every other chunk, as OpenAI's do.
  local function telling(c, request)
    local options = request.json.stream_options
    local asked = type(options) == "table" and options.include_usage == true
    local text = provider.stream_text({ "x" }, { usage = asked })
    provider.stream { asked and text or (text:gsub(',?"usage":null,?', "")) }(c, request)
  end

  local function without_usage_member(text) return text:find('"usage"', 1, true) == nil end

  it("has the provider tell usage, and the client see a stream without any", router.test(function(start)
    local p = provider.start(telling)
    local r = start_with(start, p)
    local answer = r:stream { model = "other" }
    assert.is_true(without_usage_member(answer.body), answer.body)
    assert.equal("x", answer.stream.text)
    assert.is_true(answer.stream.done)
    assert.equal(2, r:await_requests(1)[1].out_tokens)
    local asked = r:chat { model = "other", stream = true, stream_options = { include_usage = true } }
    assert.truthy(asked.body:find('"usage":null', 1, true), asked.body)
    assert.truthy(asked.body:find('"total_tokens":7', 1, true), asked.body)
  end))

  it("adds that wish and changes nothing else of the request", router.test(function(start)
    local p = provider.start(telling)
    local r = start_with(start, p)
    local function sent(body)
      assert.equal(200, r:ask("POST", "/v1/chat/completions", body).status)
      return p.requests[#p.requests].body
    end
    local head = ' {"model" : "other","seed":1.0, "stream":true,\n "messages":[]'
    assert.equal(head .. ', "stream_options":{"a":1e2,"include_usage":true }}',
      sent(head .. ', "stream_options":{"a":1e2 }}'))
    assert.equal(head .. ', "stream_options":{ "include_usage":true, "a":[]}}',
      sent(head .. ', "stream_options":{ "include_usage":false, "a":[]}}'))
    local own = head .. ', "stream_options":{ "include_usage" : true }}'
    assert.equal(own, sent(own))
    assert.equal(head .. ',"stream_options":{"include_usage":true}}', sent(head .. "}"))
    local whole = '{"model":"other" ,"messages":[]}'
    p:answer(provider.chat "x")
    assert.equal(whole, sent(whole))
  end))

  it("takes usage from the chunk that holds more, too", router.test(function(start)
    local f = provider.frames
    local finish = f.finish():gsub('"usage":null', '"usage":{"completion_tokens":3}')
    local p = provider.start(provider.stream { f.role, f.token "x", finish, f.done })
    local r = start_with(start, p)
    local answer = r:stream { model = "other" }
    assert.is_true(without_usage_member(answer.body), answer.body)
    assert.truthy(answer.body:find('"finish_reason":"stop"', 1, true), answer.body)
    assert.equal(3, r:await_requests(1)[1].out_tokens)
  end))

  it("leaves usage to whoever asks for it when told so", router.test(function(start)
    local p = provider.start(telling)
    local r = start_with(start, p, { usage = false })
    r:stream { model = "other" }
    assert.is_nil(p.requests[1].json.stream_options)
    assert.is_nil(r:await_requests(1)[1].out_tokens)
  end))

  it("keeps the network's own events to itself", router.test(function(start)
    local f = provider.frames
    local p = provider.start(provider.stream { "event: devshard_receipt\ndata: {\"r\":1}\n\n", f.role, f.token "x",
      f.finish(), "event: devshard_meta\ndata: {\"m\":1}\n\n", f.done })
    local answer = start_with(start, p):chat { model = "other", stream = true }
    assert.is_nil(answer.body:find("devshard", 1, true), answer.body)
    assert.truthy(answer.body:find("[DONE]", 1, true), answer.body)
    assert.same({ "x", "" }, { told(answer) })
  end))
end)
