-- What clients, policies and the configuration put into headers: sent when it may stand there, else refused where it
-- comes in; never the end of the router.
local check = require "spec.support.check"
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

-- What may not stand in a header's value, as Lua and JSON write it.
local bad_values = {}
for c = 0, 31 do
  if c ~= 9 then bad_values[#bad_values + 1] = ("b%cc"):format(c) end
end
bad_values[#bad_values + 1] = "b\127c"
bad_values[#bad_values + 1] = "end\r\nx-injected: 1"
bad_values[#bad_values + 1] = ("v"):rep(8193)

local bad_names = { "", "a b", "a:b", "a(b)", "a\r\nb", "a\0b", "é", "a\127", ("n"):rep(257), "\t" }

local function quoted(text) return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\r", "\\r")) end

local function json_escaped(text)
  return (text:gsub('[%c"\\\127]', function(c) return ("\\u%04x"):format(c:byte()) end))
end

--- A policy whose `hook` gets what `call` fails with, for every pair of name and value, and puts it on the record.
local function policy_that_sets(hook, call)
  local pairs_of = {}
  for _, value in ipairs(bad_values) do pairs_of[#pairs_of + 1] = ("{ 'x-a', %s }"):format(quoted(value)) end
  for _, name in ipairs(bad_names) do pairs_of[#pairs_of + 1] = ("{ %s, 'b' }"):format(quoted(name)) end
  return ([[
    local peri = require "perilune"
    local policy = { name = "sets" }
    function policy.%s(req, attempt)
      local refused, sent = 0, {}
      for _, h in ipairs { %s } do
        local ok, why = pcall(function() %s end)
        if not ok and tostring(why):find("header", 1, true) then refused = refused + 1 end
        if ok then sent[#sent + 1] = h[1] .. "=" .. h[2] end
      end
      peri.log.info("tried", { refused = refused, sent = table.concat(sent, "|") })
    end
    return policy]]):format(hook, table.concat(pairs_of, ", "), call), #pairs_of
end

describe("the name of a model", function()
  teardown(process.stop_all)

  local paths = {
    ["/v1/chat/completions"] = '"messages":[{"role":"user","content":"Hi"}]',
    ["/v1/completions"] = '"prompt":"Hi"',
    ["/v1/embeddings"] = '"input":"Hi"',
  }

  it("is refused when it holds a control character, on every path", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) } }
    local bad = { "\194\128", "\194\159" }
    for c = 0, 31 do bad[#bad + 1] = ("%c"):format(c) end
    bad[#bad + 1] = "\127"
    for path, rest in pairs(paths) do
      for _, c in ipairs(bad) do
        local answer = r:ask("POST", path, ('{"model":"x%sy",%s}'):format(json_escaped(c), rest))
        assert.equal(400, answer.status, path .. " " .. json_escaped(c))
        assert.same({ code = "invalid_model", param = "model", type = "invalid_request_error",
          message = "'model' holds a control character" }, answer.json.error)
        assert.is_nil(answer.headers["x-perilune-model"])
      end
    end
    for _, escape in ipairs { "\\b", "\\f", "\\n", "\\r", "\\t" } do
      assert.equal(400, r:ask("POST", "/v1/chat/completions",
        ('{"model":"%s","messages":[]}'):format(escape)).status)
    end
    assert.equal(0, #p.requests)
    assert.equal(200, r:chat().status)
  end))

  it("is refused when it is longer than 256 bytes", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) } }
    assert.equal(200, r:chat({ model = ("m"):rep(256) }).status)
    for _, n in ipairs { 257, 70 * 1024 } do
      local answer = r:chat { model = ("m"):rep(n) }
      assert.equal(400, answer.status)
      assert.equal("'model' is longer than 256 bytes", answer.json.error.message)
      assert.is_true(#answer.body < 500)
    end
    assert.equal(1, #p.requests)
  end))

  it("beyond ASCII reaches the provider as it is, and the header in percent-encoding", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p) } }
    local answer = r:chat { model = "模型 100%" }
    assert.equal(200, answer.status)
    assert.equal("模型 100%", p.requests[1].json.model)
    assert.equal("%E6%A8%A1%E5%9E%8B 100%25", answer.headers["x-perilune-model"])
    assert.equal("100%", r:chat({ model = "100%" }).headers["x-perilune-model"])
  end))
end)

describe("a header that a policy sets", function()
  teardown(process.stop_all)

  local setters = {
    { "req:set_header", "request", "req:set_header(h[1], h[2])" },
    { "attempt:set_header", "attempt", "attempt:set_header(h[1], h[2])" },
    { "attempt.headers", "attempt", "attempt.headers[h[1]] = h[2]" },
    { "attempt:set_answer_header", "attempt", "attempt:set_answer_header(h[1], h[2])" },
  }
  for _, setter in ipairs(setters) do
    local name, hook, call = table.unpack(setter)
    it("is refused when it can not be sent: " .. name, router.test(function(start)
      local p = provider.start()
      local text, count = policy_that_sets(hook, call)
      local r = start({ providers = { router.provider("a", p) }, policies = { "sets.lua" } }, { ["sets.lua"] = text })
      local answer = r:chat()
      assert.equal(200, answer.status)
      local seen = r:log("tried")[1]
      assert.equal("", seen.sent)
      assert.equal(count, seen.refused)
      assert.is_nil(answer.headers["x-injected"])
      assert.is_nil(p.requests[1].headers["x-injected"])
      assert.is_nil(answer.headers["x-a"])
      assert.is_nil(p.requests[1].headers["x-a"])
    end))
  end

  it("says which argument is wrong, and why", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "bad.lua" } }, {
      ["bad.lua"] = 'return { request = function(req)\n  req:set_header("x-a", "b\\1c")\nend }',
    })
    assert.equal(200, r:chat().status)
    assert.matches("bad.lua:2: header 'x%-a': a header's value holds a control character",
      r:log("policy failed")[1].detail)
  end))
end)

describe("a header that the router writes itself", function()
  teardown(process.stop_all)

  local framing = { "content-length", "Transfer-Encoding", "te", "connection", "HOST", "keep-alive", "upgrade",
    "trailer", "expect", "proxy-connection", "content-type", "content-encoding" }
  local towards = { provider = { "accept-encoding", "proxy-authorization" },
    client = { "date", "x-request-id", "x-perilune-model", "x-perilune-provider" } }

  local function sets(hook, call, names)
    return ([[
      local peri = require "perilune"
      local policy = { name = "sets" }
      function policy.%s(req, attempt)
        for _, name in ipairs { %s } do
          local ok, why = pcall(function() %s end)
          peri.log.info("tried", { name = name, ok = ok, why = why })
        end
      end
      return policy]]):format(hook, '"' .. table.concat(names, '", "') .. '"', call)
  end

  for _, case in ipairs {
    { "request", 'req:set_header(name, "1")', towards.client },
    { "attempt", 'attempt:set_answer_header(name, "1")', towards.client },
    { "attempt", 'attempt:set_header(name, "1")', towards.provider },
    { "attempt", 'attempt.headers[name] = "1"', towards.provider },
  } do
    local hook, call, more = table.unpack(case)
    it("is refused with its name, and the request goes on: " .. call, router.test(function(start)
      local p = provider.start()
      local names = table.move(more, 1, #more, #framing + 1, { table.unpack(framing) })
      local r = start({ providers = { router.provider("a", p) }, policies = { "sets.lua" } },
        { ["sets.lua"] = sets(hook, call, names) })
      local answer = r:chat()
      assert.equal(200, answer.status)
      assert.equal(1, #p.requests)
      local tried = r:log "tried"
      assert.equal(#names, #tried)
      for i, line in ipairs(tried) do
        assert.is_false(line.ok)
        assert.equal(names[i], line.name)
        assert.matches("header '" .. names[i] .. "': the router sets it itself", line.why, 1, true)
      end
    end))
  end

  it("is refused in a policy's fetch", router.test(function(start)
    local p = provider.start()
    local r = start({ providers = { router.provider("a", p) }, policies = { "fetches.lua" } }, {
      ["fetches.lua"] = [[
        local peri = require "perilune"
        return { request = function()
          for _, name in ipairs { "content-length", "host", "te", "a(b)" } do
            local _, why, code = peri.http.fetch { url = "http://192.0.2.1/", headers = { [name] = "1" } }
            peri.log.info("tried", { name = name, code = code, why = why })
          end
          local _, why, code = peri.http.fetch { url = "http://192.0.2.1/", headers = { ["x-a"] = "b\1" } }
          peri.log.info("tried", { name = "x-a", code = code, why = why })
        end }]],
    })
    assert.equal(200, r:chat().status)
    local tried = r:log "tried"
    assert.equal(5, #tried)
    for _, line in ipairs(tried) do assert.equal("EINVAL", line.code) end
    assert.matches("header 'host': fetch sets it itself", tried[2].why, 1, true)
    assert.matches("a header's name is not made of", tried[4].why, 1, true)
    assert.matches("header 'x-a': a header's value holds a control character", tried[5].why, 1, true)
  end))

  it("is not sent twice: what a policy sets stands in place of the provider's", router.test(function(start)
    local p = provider.start()
    local r = start({
      providers = { router.provider("a", p, { headers = { ["X-Team"] = "configured" } }) },
      policies = { "sets.lua" },
    }, {
      ["sets.lua"] = [[return { attempt = function(req, attempt)
        attempt:set_header("Authorization", "Bearer another")
        attempt:set_header("x-team", "red")
        attempt:set_header("X-TEAM", "blue")
      end }]],
    })
    assert.equal(200, r:chat().status)
    assert.equal("Bearer another", p.requests[1].headers.authorization)
    assert.equal("blue", p.requests[1].headers["x-team"])
  end))

  it("but for its kind of advice, which a policy may replace", router.test(function(start)
    local p = provider.start(provider.status(429, nil, { ["retry-after"] = "7" }))
    local r = start({ providers = { router.provider("a", p) }, policies = { "sets.lua" } }, {
      ["sets.lua"] = [[return { request = function(req)
        req:set_header("Retry-After", "60")
        req:set_header("Cache-Control", "private")
      end }]],
    })
    local answer = r:chat()
    assert.equal(429, answer.status)
    assert.equal("60", answer.headers["retry-after"])
    p:answer(provider.tokens { "a" })
    p:forget()
    local other = start({ providers = { router.provider("a", p) }, policies = { "sets.lua" } }, {
      ["sets.lua"] = 'return { request = function(req) req:set_header("Cache-Control", "private") end }',
    })
    assert.equal("private", other:stream().headers["cache-control"])
  end))
end)

describe("the header that a client's key came in", function()
  teardown(process.stop_all)

  local reads = [[
    local peri = require "perilune"
    local function value(v) return v == nil and "nil" or v end
    return { request = function(req)
      peri.log.info("read", {
        method = value(req:header("Authorization")), index = value(req.headers.authorization),
        copied = value(req:header("x-api-key")), also = value(req.headers["x-proxied"]),
        other = value(req:header "x-team"), key = value(req.key), results = select("#", req:header "x-none"),
        headers = select("#", req:header "authorization"),
      })
    end }]]

  it("is not there for policies, nor is any other that repeats the key", router.test(function(start)
    local secret = "sk-client-0123456789abcdef"
    local r = start({
      providers = { router.provider("a", provider.start()) }, policies = { "reads.lua" },
      keys = { { id = "team-blue", secret = secret } },
    }, { ["reads.lua"] = reads })
    local answer = r:chat({}, { authorization = "Bearer " .. secret, ["x-api-key"] = secret,
      ["x-proxied"] = "key=" .. secret .. ";", ["x-team"] = "blue" })
    assert.equal(200, answer.status)
    local seen = r:log("read")[1]
    assert.same({ "nil", "nil", "nil", "nil", "blue", "team-blue" },
      { seen.method, seen.index, seen.copied, seen.also, seen.other, seen.key })
    assert.is_nil(r.process:stderr():find(secret, 1, true))
  end))

  it("is an ordinary one where no key was asked for", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "reads.lua" } },
      { ["reads.lua"] = reads })
    assert.equal(200, r:chat({}, { authorization = "Bearer of-the-client" }).status)
    local seen = r:log("read")[1]
    assert.same({ "Bearer of-the-client", "Bearer of-the-client", "nil" }, { seen.method, seen.index, seen.key })
    assert.same({ 1, 1 }, { seen.results, seen.headers })
  end))
end)

describe("an event that a policy puts in place of another", function()
  teardown(process.stop_all)

  it("must be JSON", router.test(function(start)
    local p = provider.start(provider.tokens { "a", "b" })
    local r = start({ providers = { router.provider("a", p) }, policies = { "replaces.lua" } }, {
      ["replaces.lua"] = [[
        local peri = require "perilune"
        return { event = function(req, event)
          if not event.data:find('"a"', 1, true) then return end
          for _, text in ipairs { "nope", "{", '{"a":1}x', "", "[DONE", '{"a":\1}', "\xff" } do
            local ok, why = pcall(event.replace, event, text)
            peri.log.info("tried", { text = text, ok = ok, why = why })
          end
          event:replace(event.data:gsub('"a"', '"A"'))
        end }]],
    })
    assert.equal("Ab", r:stream().stream.text)
    r:await_requests(1)
    assert.equal(7, #r:log "tried")
    for _, line in ipairs(r:log "tried") do
      assert.is_false(line.ok, line.text)
      assert.matches("not the text of valid JSON: .+", line.why)
    end
  end))
end)

describe("a policy's name", function()
  before_each(check.open)
  after_each(check.close)
  teardown(process.stop_all)

  local function refused(text, expected)
    check.write("policies/p.lua", text)
    local code, _, err = check.lua('return { providers = { { id = "a", url = "http://127.0.0.1:9/v1" } }, ' ..
      'policies = { "policies/p.lua" } }')
    assert.equal(78, code)
    assert.matches(expected, err)
  end

  it("is refused with its line when it can not stand in a header", function()
    local control = ": the policy's 'name' holds a control character"
    refused('local policy = {\n  name = "a\\r\\nb",\n}\nreturn policy', "p.lua:2" .. control)
    refused('local policy = {\n  name = "a\\0",\n}\nreturn policy', "p.lua:2" .. control)
    refused('return {\n\n  name = ("a"):rep(257) }', "p.lua:3: the policy's 'name' is longer than 256 bytes")
    refused('return { name = "" }', "p.lua:1: the policy's 'name' is empty")
    refused('return { name = "\\xff" }', "p.lua:1: the policy's 'name' is not valid UTF%-8")
    refused('local policy = {}\npolicy.name = "\\1"\nreturn policy', "p.lua:%d" .. control)
    refused('return {\n  name = 3 }', "p.lua:2: 'name' must be a string, got a number")
  end)

  it("beyond ASCII stands in the answer's header in percent-encoding", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "p.lua" } }, {
      ["p.lua"] = 'return { name = "é", route = function(req) return (req:try(req:pick())) end }',
    })
    assert.equal("%C3%A9@1", r:chat().headers["x-perilune-route"])
  end))
end)

describe("a configuration", function()
  before_each(check.open)
  after_each(check.close)
  teardown(process.stop_all)

  local function provider_with(field)
    return 'return { providers = { { id = "a", url = "http://127.0.0.1:9/v1",\n' .. field .. "\n} } }"
  end

  local cases = {
    { 'headers = { ["x-a"] = "b\\1c" }', "perilune.lua:2: .*x%-a' must be one line without control characters" },
    { ('headers = { ["x-a"] = "%s" }'):format(("v"):rep(9000)), "perilune.lua:2: .*is longer than 8192 bytes" },
    { 'headers = { ["a(b)"] = "c" }', "perilune.lua:2: .*can not be sent" },
    { 'headers = { ["te"] = "c" }', "perilune.lua:2: .*can not be sent" },
    { 'headers = { ["x-a"] = secret "file:key" }', "perilune.lua:2: .*control character", "a\1b" },
    { 'key = "a\\1b"', "perilune.lua:2: .*key' must be a secret of one line without control characters" },
    { 'key = "a\\127b"', "perilune.lua:2: .*key' must be a secret of one line without control characters" },
    { 'key = secret "file:key"', "perilune.lua:2: .*control character", "a\tb" },
    { 'key = secret "file:key"', "perilune.lua:2: .*longer than 8185 bytes", ("k"):rep(8190) },
    { 'key = "k", auth_header = "x y"', "perilune.lua:2: .*auth_header" },
    { 'models = { "m\\n" }', "perilune.lua:2: .*names a model, and the name holds a control character" },
    { 'models = { ["m\\1"] = "x" }', "perilune.lua:2: .*names a model, and the name holds a control character" },
    { 'models = { m = { aliases = { "n\\1" } } }', "perilune.lua:2: .*names a model, and the name holds" },
  }
  for _, case in ipairs(cases) do
    local field, expected, key = table.unpack(case)
    it("is refused, with its line: " .. field:sub(1, 40), function()
      if key then check.write("key", key, "0600") end
      local code, _, err = check.lua(provider_with(field))
      assert.equal(78, code, err)
      assert.matches(expected, err)
      if key then assert.is_nil(err:find(key, 1, true)) end
    end)
  end

  it("is refused when a variable holds a key that can not be sent", function()
    for _, environment in ipairs { { OPENAI_API_KEY = "a\1b" }, { PROVIDERS = "https://a/v1", KEYS = "a\127b" } } do
      local code, _, err = check.perilune("check", environment)
      assert.equal(78, code)
      assert.matches("control character", err)
    end
  end)

  it("is refused when the default model or another name of a model is none", function()
    local code, _, err = check.lua('return {\ndefault_model = "m\\1",\nmodels = { m = "n\\2" },\n' ..
      'providers = { { id = "a", url = "http://127.0.0.1:9/v1" } } }')
    assert.equal(78, code)
    assert.matches("perilune.lua:2: 'default_model' names a model, and the name holds a control character", err)
    assert.matches("perilune.lua:3: .*names a model, and the name holds a control character", err)
  end)

  it("lists no model of a provider's list that can not be named", router.test(function(start)
    local p = provider.start(function(c, request)
      local list = '{"object":"list","data":[{"id":"good"},{"id":"b\\u0001"},{"id":"b\\u0080"},{"id":""}]}'
      if request.method == "GET" then return provider.reply(200, list)(c, request) end
      return provider.chat "Hello"(c, request)
    end)
    local r = start { providers = { router.provider("a", p, { discover_models = true }) } }
    loop.await("the list to be read", function() return #r:ask("GET", "/v1/models").json.data == 1 end)
    assert.equal("good", r:ask("GET", "/v1/models").json.data[1].id)
    assert.equal(400, r:chat({ model = "b\1" }).status)
  end))
end)

describe("what is answered", function()
  it("is written with JSON's escapes, not with the client's bytes", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    local answer = r:chat { model = 'no "such" \\ model' }
    assert.equal(404, answer.status)
    assert.equal([[the model 'no "such" \ model' does not exist here]], answer.json.error.message)
    assert.is_table(cjson.decode(answer.body).error)
  end))
end)
