--- The specs' own simulation: a fault that is not visible here would make every spec about it worthless.
local clients = require "spec.support.clients"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local raw = require "spec.support.raw"

describe("the simulated provider", function()
  teardown(process.stop_all)

  it("answers a request and remembers it", loop.body(function()
    local p = provider.start()
    local c = raw.connect(p.port)
    c:send 'POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 13\r\n\r\n{"model":"m"}'
    local head = c:take_head()
    local body, is_whole = c:take_body(head)
    assert.equal(200, head.status)
    assert.is_true(is_whole)
    assert.matches("Hello there", body)
    assert.equal("m", p.requests[1].json.model)
  end))

  it("cuts a stream so that its end is missing", loop.body(function()
    local p = provider.start(provider.stream { provider.frames.token "Hel", provider.cut })
    local c = raw.connect(p.port)
    c:send 'POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}'
    local body, is_whole = c:take_body(c:take_head())
    assert.is_false(is_whole)
    assert.equal(provider.frames.token "Hel", body)
  end))

  it("resets a connection", loop.body(function()
    local p = provider.start(provider.reset)
    local c = raw.connect(p.port)
    c:send 'POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}'
    local head = c:take_head()
    assert.is_nil(head)
  end))

  it("sees a client leave a stalled answer", loop.body(function()
    local p = provider.start(provider.stream { provider.frames.role, provider.stall })
    local c = raw.connect(p.port)
    c:send 'POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}'
    c:take_until "data:"
    c:close()
    loop.await("the provider to be left", function() return p.left == 1 and p.open == 0 end)
  end))

  -- What the official client makes of a stream that ends early but tidily is the reason for our error frames.
  it("shows the official client half an answer as if it were whole", loop.body(function()
    if not clients.directory() then
      print("skipped: " .. clients.why)
      return
    end
    local p = provider.start(provider.stream { provider.frames.role, provider.frames.token "Hel" })
    local seen = clients.run(p.url, { { stream = true } })[1]
    assert.is_true(seen.ok)
    assert.equal("Hel", seen.text)
    p:answer(provider.stream { provider.frames.role, provider.frames.token "Hel", provider.reset })
    assert.is_false(clients.run(p.url, { { stream = true } })[1].ok)
  end))
end)
