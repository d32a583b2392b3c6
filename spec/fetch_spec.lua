--- peri.http.fetch against our own server, both in one loop.
local peri = require "perilune"

local JSON = { ["content-type"] = "application/json" }

--- Serve with `handler` while `body(url, server)` runs in a task.
local function with_server(handler, body)
  return function()
    peri.run(function()
      local server = assert(peri.http.serve { listen = "127.0.0.1:0", handler = handler })
      local ok, why = pcall(body, "http://127.0.0.1:" .. server.port, server)
      server:close()
      if not ok then error(why, 0) end
    end)
  end
end

local function echo(x)
  x:reply(200, { ["x-method"] = x.method, ["x-path"] = x.path, ["x-query"] = x.query,
    ["x-a"] = x.headers["x-a"] or "", ["x-type"] = x.headers["content-type"] or "none" }, x.body)
end

describe("peri.http.fetch", function()
  it("gives status, headers and body", with_server(function(x)
    x:reply(201, JSON, '{"ok":true}')
  end, function(url)
    local answer = assert(peri.http.fetch { url = url .. "/v1" })
    assert.equal(201, answer.status)
    assert.equal("application/json", answer.headers["content-type"])
    assert.equal('{"ok":true}', answer.body)
  end))

  it("asks with GET, and with POST when there is a body", with_server(echo, function(url)
    local got = assert(peri.http.fetch { url = url .. "/a/b?c=d" })
    assert.equal("GET", got.headers["x-method"])
    assert.equal("/a/b", got.headers["x-path"])
    assert.equal("c=d", got.headers["x-query"])
    local posted = assert(peri.http.fetch { url = url, body = "a\0b" })
    assert.equal("POST", posted.headers["x-method"])
    assert.equal("none", posted.headers["x-type"])
    assert.equal("a\0b", posted.body)
    local put = assert(peri.http.fetch { url = url, method = "PUT", body = "x" })
    assert.equal("PUT", put.headers["x-method"])
  end))

  it("sends headers, numbers among them", with_server(echo, function(url)
    local answer = assert(peri.http.fetch { url = url, headers = { ["x-a"] = 7, ["content-type"] = "text/x" } })
    assert.equal("7", answer.headers["x-a"])
    assert.equal("text/x", answer.headers["x-type"])
  end))

  it("takes an error status and a redirect for answers", with_server(function(x)
    if x.path == "/there" then return x:reply(200, {}, "there") end
    x:reply(x.path == "/error" and 503 or 302, { location = "/there" }, "no")
  end, function(url)
    assert.equal(503, assert(peri.http.fetch { url = url .. "/error" }).status)
    local moved = assert(peri.http.fetch { url = url .. "/moved" })
    assert.equal(302, moved.status)
    assert.equal("no", moved.body)
  end))

  it("says why there is no answer", with_server(function(x)
    if x.path == "/silent" then peri.sleep(60000) end
    x:start(200, { ["content-length"] = "100" })
    x:write("half")
    x:cut()
  end, function(url, server)
    local function code_of(options) return select(3, peri.http.fetch(options)) end
    assert.equal("ETIMEOUT", code_of { url = url .. "/silent", timeout_ms = 20 })
    assert.equal("ETRUNCATED", code_of { url = url .. "/cut" })
    assert.equal("EINVAL", code_of { url = "ftp://h/" })
    assert.equal("EINVAL", code_of { url = url, headers = { ["x-a"] = "b\r\nc: d" } })
    assert.equal("EINVAL", code_of { url = url, headers = { ["content-length"] = "5" } })
    local port = server.port
    server:close()
    peri.sleep(1)
    assert.equal("ECONNECT", code_of { url = "http://127.0.0.1:" .. port })
  end))

  it("stops at max_bytes", with_server(function(x)
    x:reply(200, {}, ("x"):rep(1000))
  end, function(url)
    assert.equal(1000, #assert(peri.http.fetch { url = url, max_bytes = 1000 }).body)
    local answer, why, code = peri.http.fetch { url = url, max_bytes = 999 }
    assert.is_nil(answer)
    assert.equal("ETOOBIG", code)
    assert.matches("max_bytes", why)
  end))

  it("keeps connections", with_server(echo, function(url, server)
    for _ = 1, 5 do assert(peri.http.fetch { url = url }) end
    assert.equal(1, server.connections)
  end))

  describe("with on_chunk", function()
    local function stream(x)
      x:start(200, {})
      for i = 1, 5 do
        if not x:write("part " .. i .. "\n") then return end
        peri.sleep(1)
      end
      x:finish()
    end

    it("hands the body over as it comes", with_server(stream, function(url)
      local parts = {}
      local answer = assert(peri.http.fetch { url = url, on_chunk = function(bytes) parts[#parts + 1] = bytes end })
      assert.is_true(#parts > 1)
      assert.equal("part 1\npart 2\npart 3\npart 4\npart 5\n", table.concat(parts))
      assert.equal("", answer.body)
      assert.equal(200, answer.status)
    end))

    it("may wait in it", with_server(stream, function(url)
      local parts = {}
      assert(peri.http.fetch { url = url, on_chunk = function(bytes)
        peri.sleep(2)
        parts[#parts + 1] = bytes
      end })
      assert.equal("part 1\npart 2\npart 3\npart 4\npart 5\n", table.concat(parts))
    end))

    it("ends the request when it returns false", function()
      local is_left = false
      with_server(function(x)
        x:start(200, {})
        while x:write("more ") do peri.sleep(1) end
        is_left = x.is_gone
      end, function(url)
        local answer = assert(peri.http.fetch { url = url, on_chunk = function() return false end })
        assert.equal(200, answer.status)
        for _ = 1, 100 do
          if is_left then break end
          peri.sleep(1)
        end
        assert.is_true(is_left)
      end)()
    end)

    it("passes on what it raises, and ends the request", with_server(stream, function(url, server)
      for _, wait_ms in ipairs { 0, 2 } do
        local ok, why = pcall(peri.http.fetch, { url = url, on_chunk = function()
          if wait_ms > 0 then peri.sleep(wait_ms) end
          error("enough", 0)
        end })
        assert.is_false(ok)
        assert.equal("enough", why)
      end
      for _ = 1, 100 do
        if server.connections == 0 then break end
        peri.sleep(1)
      end
      assert.equal(0, server.connections)
    end))
  end)

  it("raises on what is a mistake in the script", with_server(echo, function(url)
    for _, case in ipairs {
      { {}, "'url' must be a string" },
      { { url = 5 }, "'url' must be a string" },
      { { url = url, uri = url }, "no option 'uri'" },
      { { url = url, headers = "x" }, "'headers' must be a table" },
      { { url = url, headers = { x = {} } }, "'headers' must map" },
      { { url = url, timeout_ms = -1 }, "'timeout_ms' must be an integer" },
      { { url = url, timeout_ms = 1.5 }, "'timeout_ms' must be an integer" },
      { { url = url, on_chunk = 1 }, "'on_chunk' must be a function, got 1" },
    } do
      local ok, why = pcall(peri.http.fetch, case[1])
      assert.is_false(ok)
      assert.matches(case[2], why, 1, true)
    end
  end))

  it("needs a task to wait in", function()
    assert.has_error(function() peri.http.fetch { url = "http://127.0.0.1:1/" } end)
  end)
end)
