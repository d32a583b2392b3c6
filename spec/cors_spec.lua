--- Pages of other origins: who may ask from a browser, and what the answers say to it.
local check = require "spec.support.check"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local APP = "https://app.example.com"

local function one(start, p, cors, more)
  local config = { providers = { router.provider("a", p, { models = { "m" } }) }, cors = cors }
  for name, value in pairs(more or {}) do config[name] = value end
  return start(config)
end

-- What a browser asks before a request of a page with a key.
local function ask_leave(r, origin, path)
  return r:ask("OPTIONS", path or "/v1/chat/completions", nil, { origin = origin,
    ["access-control-request-method"] = "POST",
    ["access-control-request-headers"] = "authorization,content-type,x-stainless-lang" })
end

local function count(head, name)
  local _, n = ("\r\n" .. head):lower():gsub("\r\n" .. name:gsub("%-", "%%-") .. ":", "")
  return n
end

describe("pages of other origins", function()
  teardown(process.stop_all)

  it("may not ask by default", router.test(function(start)
    local r = one(start, provider.start())
    assert.equal(405, ask_leave(r, APP).status)
    local answer = r:chat(nil, { origin = APP })
    assert.equal(200, answer.status)
    for name in pairs(answer.headers) do assert.is_nil(name:find "^access%-control") end
    assert.is_nil(answer.headers.vary)
  end))

  it("may ask where their origin is named, without a key", router.test(function(start)
    local p = provider.start()
    local r = one(start, p, { origins = { "http://localhost:3000", APP } }, { keys = { "sk-client-1" } })
    local leave = ask_leave(r, APP)
    assert.equal(204, leave.status)
    assert.equal("", leave.body)
    assert.equal(APP, leave.headers["access-control-allow-origin"])
    assert.matches("POST", leave.headers["access-control-allow-methods"])
    assert.equal("authorization,content-type,x-stainless-lang", leave.headers["access-control-allow-headers"])
    assert.is_nil(leave.headers["access-control-allow-credentials"])
    assert.equal("origin, access-control-request-headers", leave.headers.vary)
    assert.equal(0, #p.requests)

    local key = { origin = APP, authorization = "Bearer sk-client-1" }
    for _, stream in ipairs { false, true } do
      local answer = r:chat({ stream = stream }, key)
      assert.equal(200, answer.status)
      assert.equal(APP, answer.headers["access-control-allow-origin"])
      assert.equal("origin", answer.headers.vary)
      assert.matches("x%-request%-id", answer.headers["access-control-expose-headers"])
    end
    assert.equal(APP, r:ask("GET", "/v1/models", nil, key).headers["access-control-allow-origin"])
    for _, request in ipairs(p.requests) do assert.is_nil(request.headers.origin) end
  end))

  it("can read why they were refused", router.test(function(start)
    local p = provider.start(provider.status(400, "no"))
    local r = one(start, p, { origins = APP }, { keys = { "sk-client-1" } })
    local rows = {
      { 401, r:chat(nil, { origin = APP }) },
      { 400, r:chat(nil, { origin = APP, authorization = "Bearer sk-client-1" }) },
      { 400, r:ask("POST", "/v1/chat/completions", "{", { origin = APP, authorization = "Bearer sk-client-1" }) },
      { 404, r:ask("GET", "/nowhere", nil, { origin = APP }) },
    }
    for _, row in ipairs(rows) do
      assert.equal(row[1], row[2].status)
      assert.equal(APP, row[2].headers["access-control-allow-origin"])
    end
    assert.equal(204, ask_leave(r, APP, "/nowhere").status)
  end))

  it("of others get no leave, and all are served", router.test(function(start)
    local r = one(start, provider.start(), { origins = { APP } })
    for _, origin in ipairs { "https://app.example.com.evil.example", "https://app.example.co",
      "http://app.example.com", "https://app.example.com:8443", "null", APP .. "/" } do
      local leave = ask_leave(r, origin)
      assert.equal(403, leave.status, origin)
      assert.equal("origin_not_allowed", leave.json.error.code)
      assert.is_nil(leave.headers["access-control-allow-origin"])
      local answer = r:chat(nil, { origin = origin })
      assert.equal(200, answer.status)
      assert.is_nil(answer.headers["access-control-allow-origin"])
      assert.equal("origin", answer.headers.vary)
    end
    local answer = r:chat()
    assert.same({ 200, "origin" }, { answer.status, answer.headers.vary })
    assert.equal(405, r:ask("OPTIONS", "/v1/models").status) -- not a browser's
  end))

  it("of all origins may ask where all may", router.test(function(start)
    local r = one(start, provider.start(), { origins = { "*" } })
    for _, origin in ipairs { APP, "null", "chrome-extension://abc" } do
      assert.equal("*", ask_leave(r, origin).headers["access-control-allow-origin"])
      local answer = r:chat(nil, { origin = origin })
      assert.equal("*", answer.headers["access-control-allow-origin"])
      assert.is_nil(answer.headers["access-control-allow-credentials"])
    end
    assert.is_nil(r:chat().headers["access-control-allow-origin"])
  end))

  it("may send what the browser keeps where that is said", router.test(function(start)
    local r = one(start, provider.start(), { origins = { APP }, credentials = true })
    assert.equal("true", ask_leave(r, APP).headers["access-control-allow-credentials"])
    assert.equal("true", r:chat(nil, { origin = APP }).headers["access-control-allow-credentials"])
    assert.is_nil(r:chat(nil, { origin = "https://other.example" }).headers["access-control-allow-credentials"])
  end))

  it("get each header once, on every answer of a connection", router.test(function(start)
    local policy = 'return { request = function(req) req:set_header("Access-Control-Allow-Origin", "*") end }'
    local r = start({ providers = { router.provider("a", provider.start(), { models = { "m" } }) },
      cors = { origins = { APP } }, policies = { "p.lua" } }, { ["p.lua"] = policy })
    local c = r:open("GET", "/v1/models", nil, { origin = APP })
    for i, origin in ipairs { APP, false, APP } do
      if i > 1 then
        c:send(router.request_text("POST", "/v1/chat/completions", router.chat_body(), { origin = origin or nil }))
      end
      local head = c:take_head()
      c:take_body(head)
      assert.equal(origin and 1 or 0, count(head.raw, "access-control-expose-headers"))
      if origin then
        assert.equal(1, count(head.raw, "access-control-allow-origin"))
        assert.equal(origin, head.headers["access-control-allow-origin"])
      end
    end
    c:close()
  end))

  it("are taken from a configuration that was read again", router.test(function(start)
    local config = { providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    local r = start(config)
    assert.equal(405, ask_leave(r, APP).status)
    config.cors = { origins = { APP } }
    r:configure(config)
    r.process:signal "HUP"
    loop.await("the reload", function() return #r:log "reloaded" == 1 end)
    assert.equal(204, ask_leave(r, APP).status)
  end))
end)

describe("origins in a configuration", function()
  before_each(check.open)
  after_each(check.close)

  local function cors(source)
    local _, _, err = check.lua('return { providers = { { id = "a", url = "http://127.0.0.1:1/v1" } }, cors = ' ..
      source .. " }")
    return check.faults(err)
  end

  it("are those that browsers send", function()
    for _, origin in ipairs { "*", "https://a.example", "http://localhost:3000", "http://[::1]:8080", "app://local" } do
      assert.same({}, cors(("{ origins = %q }"):format(origin)))
    end
    for _, origin in ipairs { "", "null", "a.example", "https://", "https://a.example/", "https://a.example/x",
      "https://*.a.example", "https://u@a.example", "https://a.example:0", "https://a b", "1x://a", "://a" } do
      local faults = cors(("{ origins = { %q } }"):format(origin))
      assert.equal(1, #faults, origin)
      local want = ('"%s" in \'origins\', expected an origin without a path'):format(origin)
      assert.is_truthy(faults[1]:find(want, 1, true), faults[1])
    end
  end)

  it("are warned of where all pages may ask and none needs a key", function()
    local function warnings(more)
      local _, _, err =
        check.lua('return { providers = { { id = "a", url = "http://127.0.0.1:1/v1" } }, ' .. more .. " }")
      return select(2, err:gsub("every page that a browser on this machine shows may use the router", ""))
    end
    assert.equal(1, warnings 'cors = { origins = "*" }')
    assert.equal(0, warnings 'cors = { origins = "*" }, keys = { "sk-client-1" }')
    assert.equal(0, warnings 'cors = { origins = "https://a.example" }')
    assert.equal(0, warnings "workers = 1")
  end)

  it("are named where credentials may come along", function()
    assert.same({}, cors '{ origins = "https://a.example", credentials = true }')
    local faults = cors '{ origins = { "https://a.example", "*" }, credentials = true }'
    assert.equal(1, #faults)
    assert.matches("expected the origins by name", faults[1])
  end)
end)
