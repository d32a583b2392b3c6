--- The policy gonka_rules in a running router: what the provider gets, and what the client hears.
local cjson = require "cjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local here = os.getenv "PWD"

local function with_rules(start, p, options)
  options = options or {}
  options.networks = options.networks or {}
  return start {
    -- Wall time is what a busy machine runs out of; the limit of instructions stays.
    policy = { budget = "10s" },
    providers = { router.provider("a", p, { models = { "moonshotai/Kimi-K2.6", "MiniMaxAI/MiniMax-M2.7", "other" } }) },
    policies = { { file = here .. "/policies/gonka_rules.lua", options = options } },
  }
end

describe("gonka_rules", function()
  teardown(process.stop_all)

  it("repairs a request and names the edits", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local answer = r:ask("POST", "/v1/chat/completions",
      '{"model":"other","tags":["x"],"user":null,"messages":[{"role":"user","content":"caf\\u00e9"}],"max_tokens":1e3}')
    assert.equal(200, answer.status, answer.body)
    assert.equal("dropped null user; dropped tags; wrote max_tokens as an integer", answer.headers["x-perilune-edits"])
    assert.equal('{"model":"other","messages":[{"role":"user","content":"caf\\u00e9"}],"max_tokens":1000}',
      p.requests[1].body)
  end))

  it("leaves an acceptable request as the client wrote it", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local body = '{ "model":"other", "max_tokens" : 64,\n "messages":[{"role":"user","content":"\\u0041"}] }'
    local answer = r:ask("POST", "/v1/chat/completions", body)
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["x-perilune-edits"])
    assert.equal(body, p.requests[1].body)
  end))

  it("leaves completions and embeddings as the client wrote them", router.test(function(start)
    local list = provider.reply(200, '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}]}')
    local text = provider.reply(200, '{"choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}')
    local p = provider.start(function(c, request)
      return (request.target:find "/embeddings" and list or text)(c, request)
    end)
    for _, profile in ipairs { "repair", "emulate" } do
      local r = with_rules(start, p, { profile = profile })
      for path, said in pairs { ["/v1/completions"] = '"prompt":"hi"', ["/v1/embeddings"] = '"input":["hi"]' } do
        local body = ('{"model":"other",%s,"user":null,"tags":["x"],"top_k":-5,"max_tokens":1e3}'):format(said)
        local answer = r:ask("POST", path, body)
        assert.equal(200, answer.status)
        assert.is_nil(answer.headers["x-perilune-edits"])
        assert.equal(body, p.requests[#p.requests].body)
      end
    end
    assert.equal(4, #p.requests)
  end))

  it("refuses what can not be repaired, in the network's words", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local answer = r:ask("POST", "/v1/chat/completions", '{"model":"other","messages":[{"role":"user","content":'
      .. '[{"type":"image_url","image_url":{"url":"x"}}]}]}')
    assert.equal(400, answer.status)
    assert.equal('messages[0].content[0].type has unsupported value "image_url"', answer.json.error.message)
    assert.equal("messages[0].content[0].type", answer.json.error.param)
    assert.equal(0, #p.requests)
  end))

  it("knows the model that the provider serves", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local answer = r:ask("POST", "/v1/chat/completions", '{"model":"moonshotai/Kimi-K2.6","max_tokens":8192,'
      .. '"frequency_penalty":0.5,"messages":[{"role":"user","content":"hi"}]}')
    assert.equal("max_tokens became 4096; added thinking_token_budget 2048; frequency_penalty became 0",
      answer.headers["x-perilune-edits"])
    local sent = p.requests[1].json
    assert.equal(4096, sent.max_tokens)
    assert.equal(2048, sent.thinking_token_budget)
    assert.equal(0, sent.frequency_penalty)
  end))

  it("does exactly what the gateway does in profile emulate", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { profile = "emulate" })
    local answer = r:chat { model = "other", tags = { "x" } }
    assert.equal(400, answer.status)
    assert.truthy(answer.json.error.message:find('Chat completions parameter "tags" is currently rejected', 1, true))
    answer = r:chat { model = "other" }
    assert.equal(200, answer.status)
    assert.matches("added top_logprobs 5", answer.headers["x-perilune-edits"], 1, true)
    assert.equal(5, p.requests[1].json.top_logprobs)
  end))

  it("does what a newer gateway does when told its release", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { profile = "emulate", release = "v0.2.15" })
    assert.equal(200, r:chat({ model = "other", n = 3, reasoning_effort = "max" }).status)
    local sent = p.requests[1].json
    assert.same({ 1, "max", 64 }, { sent.n, sent.reasoning_effort, sent.min_tokens })
  end))

  it("leaves a rule out by its name", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { off = { "repair_unknown", "default_tokens", "temperature" } })
    assert.equal(400, r:chat({ model = "other", tags = { "x" } }).status)
    local answer = r:chat { model = "other", temperature = 3 }
    assert.same({ 200, nil, 3 }, { answer.status, p.requests[1].json.max_tokens, p.requests[1].json.temperature })
    assert.is_nil(answer.headers["x-perilune-edits"])
  end))

  local picture = '{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}'
  local note = "[image left out: this model reads text only]"

  it("notes that an image was left out when told so", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { images = "note" })
    local answer = r:ask("POST", "/v1/chat/completions", '{"model":"other","messages":[{"role":"user","content":'
      .. '[{"type":"text","text":"What is it?"},' .. picture .. ']},{"role":"assistant","content":[{"type":"tool_use",'
      .. '"id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",'
      .. '"content":[{"type":"image","source":{}}]}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}')
    assert.equal(200, answer.status, answer.body)
    assert.matches("left out what is not text", answer.headers["x-perilune-edits"])
    local messages = p.requests[1].json.messages
    assert.equal("What is it?\n" .. note, messages[1].content)
    assert.equal(note, messages[3].content)
    assert.is_nil(p.requests[1].body:find("base64", 1, true))
  end))

  it("says in words that a call is required", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p)
    local function sent(choice, messages, more)
      local answer = r:ask("POST", "/v1/chat/completions", '{"model":"other","messages":[' .. messages
        .. '],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":' .. choice .. (more or "") .. "}")
      assert.equal(200, answer.status, answer.body)
      return p.requests[#p.requests].json, answer.headers["x-perilune-edits"] or ""
    end
    local hint = "Answer by calling one of the tools."
    local user, system = '{"role":"user","content":"go"}', '{"role":"system","content":"You are x."}'
    local json, edits = sent('"required"', system .. "," .. user)
    assert.equal("auto", json.tool_choice)
    assert.equal("You are x.\n\n" .. hint, json.messages[1].content)
    assert.matches("told the model to call a tool", edits)
    json = sent('{"type":"any"}', user)
    assert.same({ "system", hint }, { json.messages[1].role, json.messages[1].content })
    for _, choice in ipairs { '"auto"', '"none"', '{"type":"function","function":{"name":"f"}}' } do
      assert.equal("go", sent(choice, user).messages[1].content)
    end
    local quiet = with_rules(start, p, { call_hint = "" })
    quiet:ask("POST", "/v1/chat/completions", '{"model":"other","tool_choice":"required","messages":[' .. user
      .. '],"tools":[{"type":"function","function":{"name":"f"}}]}')
    assert.equal("go", p.requests[#p.requests].json.messages[1].content)
  end))

  it("breaks the marks of tokenizers when told so, and only those", router.test(function(start)
    local p = provider.start()
    local text = "a <|im_end|> [EOS] [EOST] <| x |> |> [1] </s>"
    local body = cjson.encode { model = "other", max_tokens = 64, messages = { { role = "user", content = text },
      { role = "user", content = { { type = "text", text = "<|im_start|>" }, { type = "text", text = "b" } } } } }
    local r = with_rules(start, p, { special_tokens = "break" })
    local answer = r:ask("POST", "/v1/chat/completions", body)
    assert.matches("broke special tokens", answer.headers["x-perilune-edits"])
    local messages = p.requests[1].json.messages
    assert.equal("a <\u{200D}|im_end|> [\u{200D}EOS] [EOST] <| x |> |> [1] </s>", messages[1].content)
    assert.equal("<\u{200D}|im_start|>\nb", messages[2].content)
    with_rules(start, p):ask("POST", "/v1/chat/completions", body)
    assert.equal(text, p.requests[2].json.messages[1].content)
  end))

  it("refuses options that mean nothing", router.test(function(start)
    local ok, why = pcall(with_rules, start, provider.start(), { images = "drop" })
    assert.is_false(ok)
    assert.matches("option 'images' must be \"refuse\" or \"note\", got \"drop\"", why)
  end))

  it("has nothing to say about providers of other networks", router.test(function(start)
    local p = provider.start()
    local r = with_rules(start, p, { networks = { "gonka" } })
    assert.equal(200, r:chat({ model = "other", tags = { "x" } }).status)
    assert.same({ "x" }, p.requests[1].json.tags)
  end))

  it("has budget enough for a request of several megabytes", router.test(function(start)
    local p = provider.start()
    local parts = { '{"role":"user","content":"go"}' }
    local text = ([[local x = \"a\" -- {[\n]]):rep(800)
    for i = 1, 200 do
      parts[#parts + 1] = ('{"role":"assistant","content":"%s"},{"role":"user","content":"step %d"}'):format(text, i)
    end
    local body = '{"model":"other","max_tokens":9,"messages":[' .. table.concat(parts, ",") .. "]}"
    assert(#body > 3e6)
    for _, profile in ipairs { "repair", "emulate" } do
      local r = with_rules(start, p, { profile = profile })
      assert.equal(200, r:ask("POST", "/v1/chat/completions", body).status)
      assert.same({}, r:log "policy failed")
      assert.equal(profile == "emulate" and 5 or nil, p.requests[#p.requests].json.top_logprobs)
    end
  end))
end)
