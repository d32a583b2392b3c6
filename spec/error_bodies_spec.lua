--- Errors of providers in every shape that was seen: their reason reaches the client in the one shape there is.
local cjson = require "cjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local null = cjson.null

describe("a provider's error", function()
  teardown(process.stop_all)

  local inner = cjson.encode { error = { message = "tool schema too deep", type = "invalid_request_error" } }
  local rows = {
    { "a list", '[{"error":{"code":400,"message":"Invalid value at \'tools\'","status":"INVALID_ARGUMENT"}}]',
      "Invalid value at 'tools'", code = "400" },
    { "detail as text", '{"detail":"Unsupported parameter: top_k"}', "Unsupported parameter: top_k" },
    { "detail as a list", '{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]}',
      "messages: Field required", param = "messages" },
    { "metadata.raw", cjson.encode { error = { message = "Provider returned error", code = 400,
      metadata = { raw = inner, provider_name = "X" } } }, "tool schema too deep", code = "400", kept = "metadata" },
    { "an error in an error", '{"error":{"error":{"message":"no such voice","code":"voice"}}}', "no such voice",
      code = "voice" },
    { "plain text", "max_tokens is too large\n", "max_tokens is too large", kind = "text/plain" },
    { "one event", 'event: error\ndata: {"error":{"message":"bad image"}}\n\n', "bad image",
      kind = "text/event-stream" },
    { "an HTML page", "<html><head><title>400 Bad Request</title></head></html>",
      "the provider answered with an HTML page: 400 Bad Request", kind = "text/html" },
    { "no body", "", "the provider gave no reason" },
  }
  for _, row in ipairs(rows) do
    it("is understood: " .. row[1], router.test(function(start)
      local p = provider.start(provider.reply(400, row[2], { ["content-type"] = row.kind }))
      local r = start { providers = { router.provider("a", p, { models = { "m" } }) } }
      for _, streamed in ipairs { false, true } do
        local answer = r:chat { stream = streamed }
        assert.equal(400, answer.status)
        local e = answer.json.error
        assert.equal(row[3], e.message)
        assert.equal("invalid_request_error", e.type == "INVALID_ARGUMENT" and "invalid_request_error" or e.type)
        assert.equal(row.code or "upstream_rejected", e.code)
        assert.equal(row.param or null, e.param)
        if row.kept then assert.is_table(e[row.kept]) end
      end
    end))
  end

  it("that is one of the dialect already passes untouched", router.test(function(start)
    local body = '{"error": {"code":"c", "message":"no", "param":null, "type":"t", "extra":{"a":1.0}}, "id":"x"}\n'
    local p = provider.start(provider.reply(422, body))
    local r = start { providers = { router.provider("a", p, { models = { "m" } }) } }
    local answer = r:chat()
    assert.equal(422, answer.status)
    assert.equal(body, answer.body)
  end))
end)

describe("an answer that is somewhere else, or nowhere", function()
  teardown(process.stop_all)

  it("names the URL that was asked, and the location", router.test(function(start)
    local p = provider.start()
    local r = start { route = { failures = 100, quarantine = "1ms" },
      providers = { router.provider("a", p, { models = { "m" } }) } }
    local moved = { [301] = "https://h.example/v1/chat/completions", [307] = "/elsewhere", [302] = false }
    for status, location in pairs(moved) do
      p:answer(provider.reply(status, "Moved", { ["content-type"] = "text/plain", location = location or nil }))
      local answer = r:chat()
      assert.equal(502, answer.status)
      assert.is_truthy(answer.json.error.message:find("at " .. p.url .. "/chat/completions", 1, true), answer.body)
      if location then
        assert.is_truthy(answer.json.error.message:find("with the location " .. location, 1, true), answer.body)
      end
    end
    for _, body in ipairs { "404 page not found\n", '{"detail":"Not Found"}' } do
      p:answer(provider.reply(404, body, { ["content-type"] = "text/plain" }))
      local answer = r:chat()
      assert.is_truthy(answer.json.error.message:find("at " .. p.url .. "/chat/completions", 1, true), answer.body)
    end
  end))
end)
