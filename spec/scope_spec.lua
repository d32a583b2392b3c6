--- What a failure is about rests, and nothing wider: this request, a model, an endpoint, a key, a provider.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

-- An error body; `fields` are code, type, param.
local function failing(status, message, fields)
  local e = { ('"message":%q'):format(message) }
  for _, key in ipairs { "type", "param", "code" } do
    local value = (fields or {})[key]
    e[#e + 1] = ('"%s":%s'):format(key, value and ('"%s"'):format(value) or "null")
  end
  return provider.reply(status, '{"error":{' .. table.concat(e, ",") .. "}}")
end

local function asked(answer) return answer.headers["x-perilune-provider"] end

describe("what a refusal is about", function()
  teardown(process.stop_all)

  it("a model that is not there rests at that provider, and its other models do not", router.test(function(start)
    for _, refusal in ipairs {
      failing(404, "The model `m` does not exist", { code = "model_not_found", type = "invalid_request_error" }),
      provider.reply(404, '{"object":"error","message":"The model `m` does not exist.","code":404}'),
      provider.reply(404, '{"error":"model \'m\' not found, try pulling it first"}'),
      failing(403, "Project `p` does not have access to model `m`", { code = "model_not_found" }),
      failing(400, "m is not a valid model ID"),
    } do
      local a, b = provider.start(), provider.start()
      local r = start { providers = {
        router.provider("a", a, { models = { "m", "n" } }),
        router.provider("b", b, { models = { "m", "n" }, tier = 2 }),
      } }
      a:next(refusal)
      for _ = 1, 3 do assert.equal("b", asked(r:chat())) end
      assert.equal(1, #a.requests)
      assert.equal("a", asked(r:chat { model = "n" }))
    end
  end))

  it("a model that nobody has is the client's 404, with the provider's words", router.test(function(start)
    local words = "The model `typo` does not exist"
    local a = provider.start(failing(404, words, { code = "model_not_found", type = "invalid_request_error" }))
    local b = provider.start(provider.reply(404, '{"detail":"model typo not found"}'))
    local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
    for _ = 1, 3 do
      local answer = r:chat { model = "typo" }
      assert.same({ 404, "model_not_found", "false" },
        { answer.status, answer.json.error.code, answer.headers["x-should-retry"] })
    end
  end))

  it("a bad moment elsewhere is told rather than a missing model", router.test(function(start)
    local a, b = provider.start(provider.status(500)), provider.start(failing(404, "no model m"))
    local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
    local answer = r:chat()
    assert.equal(502, answer.status)
    assert.is_nil(answer.headers["x-should-retry"])
  end))

  it("an endpoint that is not there rests, and chats go on", router.test(function(start)
    for _, refusal in ipairs {
      provider.reply(404, "404 page not found"), provider.reply(404, '{"detail":"Not Found"}'),
      provider.reply(405, '{"detail":"Method Not Allowed"}'), provider.reply(404, "<html>404</html>"),
      failing(404, "Invalid URL (POST /v1/embeddings)", { type = "invalid_request_error" }),
    } do
      local p = provider.start()
      local r = start { providers = { router.provider("a", p, { models = { "m" } }) } }
      p:next(refusal)
      local answer = r:ask("POST", "/v1/embeddings", '{"model":"m","input":"x"}')
      assert.same({ 404, "endpoint_not_found" }, { answer.status, answer.json.error.code })
      assert.equal(200, r:chat().status)
    end
  end))

  it("a flagged prompt is the client's own", router.test(function(start)
    for _, refusal in ipairs {
      failing(403, "Your request was flagged by moderation"), failing(403, "no", { code = "content_policy_violation" }),
    } do
      local a, b = provider.start(), provider.start()
      local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
      a:next(refusal)
      assert.equal(403, r:chat().status)
      assert.equal(0, #b.requests)
      assert.equal("a", asked(r:chat()))
    end
  end))

  it("what one request asks of a model is no failure of the model", router.test(function(start)
    for _, case in ipairs {
      { 400, "bad value: 'unknown model m'", { code = "invalid_value" } },
      { 404, "No endpoints found that support tool use. To learn more, visit https://x.example" },
      { 404, "No allowed providers are available for the selected model." },
      { 429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 41213.",
        { code = "rate_limit_exceeded", type = "tokens" } },
    } do
      local p = provider.start()
      local r = start { providers = { router.provider("a", p) } }
      p:next(failing(table.unpack(case)))
      local answer = r:chat()
      assert.same({ case[1], "false" }, { answer.status, answer.headers["x-should-retry"] })
      assert.equal("a", asked(r:chat()))
      assert.equal(0, #r:log("not asked for a while"))
    end
  end))

  it("and another provider is asked where that may take it", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
    a:next(failing(404, "No endpoints found matching your data policy"))
    assert.equal("b", asked(r:chat()))
    assert.equal("a", asked(r:chat()))
  end))

  it("one file that is not there does not take its model away", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
    a:next(failing(404, "File 'file-1' not found", { type = "invalid_request_error" }))
    assert.equal("b", asked(r:chat()))
    assert.equal("a", asked(r:chat()))
  end))

  it("an account that is refused rests as a key, and the log names the remedy", router.test(function(start)
    for status, refusal in pairs {
      [401] = failing(401, "no", { code = "invalid_api_key" }), [402] = failing(402, "Insufficient Balance"),
      [429] = failing(429, "You exceeded your current quota", { code = "insufficient_quota" }),
      [400] = failing(400, "no", { type = "authentication_error" }),
      [403] = failing(403, "no", { type = "permission_error" }),
    } do
      local a, b = provider.start(), provider.start()
      local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
      a:next(refusal)
      for _ = 1, 3 do assert.same({ status, "b" }, { status, asked(r:chat()) }) end
      assert.same({ status, 1 }, { status, #a.requests })
      local line = r:log("not asked for a while")[1]
      assert.same({ "warn", "key", "a", status },
        { line.level, line.scope, line.provider, math.tointeger(line.status) })
      assert.is_string(line.remedy)
    end
  end))

  it("a rate limit that names the model is that model's", router.test(function(start)
    local a, b = provider.start(), provider.start()
    local r = start { providers = {
      router.provider("a", a, { models = { m = "gpt-9", n = "gpt-8" } }),
      router.provider("b", b, { models = { "m", "n" }, tier = 2 }),
    } }
    a:next(provider.reply(429, '{"error":{"message":"Rate limit reached for gpt-9 in organization o"}}',
      { ["retry-after"] = "20" }))
    for _ = 1, 3 do assert.equal("b", asked(r:chat())) end
    assert.equal("a", asked(r:chat { model = "n" }))
    assert.equal("model", r:log("not asked for a while")[1].scope)
  end))

  it("what goes wrong between us and a provider is never the client's own", router.test(function(start)
    for _, status in ipairs { 407, 408, 409, 411, 417, 421, 425, 426, 431 } do
      local a, b = provider.start(failing(status, "no")), provider.start()
      local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
      assert.same({ status, "b" }, { status, asked(r:chat()) })
    end
    local r = start { providers = { router.provider("a", provider.start(failing(407, "proxy"))) } }
    assert.equal(502, r:chat().status)
  end))

  it("an error inside a 200 is judged by its words and keeps them", router.test(function(start)
    local cases = {
      { "invalid_request_error", "context_length_exceeded", 400 }, { "invalid_request_error", nil, 400 },
      { "INVALID_ARGUMENT", nil, 400 }, { "request_too_large", nil, 413 }, { "content_filter", nil, 403 },
    }
    for _, case in ipairs(cases) do
      local body = ('{"error":{"message":"told","type":"%s","param":"messages","code":%s}}')
        :format(case[1], case[2] and ('"%s"'):format(case[2]) or "null")
      for _, is_stream in ipairs { false, true } do
        local p = provider.start()
        local r = start { providers = { router.provider("a", p) } }
        p:next(is_stream and provider.stream { "data: " .. body .. "\n\n" } or provider.reply(200, body))
        local answer = r:chat { stream = is_stream }
        local e = answer.json.error
        assert.same({ case[3], "told", "messages", case[1] }, { answer.status, e.message, e.param, e.type })
        assert.equal(200, r:chat().status)
      end
    end
    for _, word in ipairs { "rate_limit_exceeded", "overloaded_error", "server_error", "RESOURCE_EXHAUSTED" } do
      local a, b = provider.start(), provider.start()
      local r = start { providers = { router.provider("a", a), router.provider("b", b, { tier = 2 }) } }
      a:next(provider.reply(200, ('{"error":{"message":"told","type":"%s"}}'):format(word)))
      assert.same({ word, "b" }, { word, asked(r:chat()) })
      assert.same({ word, "a" }, { word, asked(r:chat()) })
    end
  end))
end)
