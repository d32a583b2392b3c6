--- Request bodies that clients pack: undone here, whatever the provider knows.
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local text = '{"model":"m","messages":[{"role":"user","content":"hello hello hello hello"}]}'

-- The text, packed by node 20 (zlib, brotli) and by zstd 1.5.4.
local packed = {
  { "gzip",
    "1f8b080000000000000365c4b10d80300c45c155d0ab99c0ab200a045f5038b114872acaee0cc015372871c9310a2b45" ..
    "99c7adc4b6410b17c69b6aac9c51bb6ac778e41ecb6fe63e3fbb61feb34e000000" },
  { "deflate",
    "789c65c4b10d80300c45c155d0ab99c0ab200a045f5038b114872acaee0cc015372871c9310a2b4599c7adc4b6410b17" ..
    "c69b6aac9c51bb6ac778e41ecb6fe63e3ffe811ab7" },
  { "br",
    "1b4d00709c07760c99065a58c0e9de6a913db6add526d73a2c5d7d53a4ec0d1c7222706c4902cd630c36e030f2c665e1" ..
    "496a90e165f9436511e1c14d7c07" },
  { "zstd",
    "28b52ffd244e2d0200d4037b226d6f64656c223a226d222c226d65737361676573223a5b7b22726f6c65223a22757365" ..
    "72222c22636f6e74656e74223a2268656c6c6f20227d5d7d010099b94001b0fe216d" },
  { "deflate",
    "65c4b10d80300c45c155d0ab99c0ab200a045f5038b114872acaee0cc015372871c9310a2b4599c7adc4b6410b17c69b" ..
    "6aac9c51bb6ac778e41ecb6fe63e3f" }, -- bare
}

local function bytes(hex) return (hex:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end)) end

describe("a packed request body", function()
  teardown(process.stop_all)

  it("reaches the provider as what it stands for", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p, { models = { "m" } }) } }
    for _, row in ipairs(packed) do
      for _, coding in ipairs { row[1], row[1]:upper() } do
        p:forget()
        local answer = r:ask("POST", "/v1/chat/completions", bytes(row[2]), { ["content-encoding"] = coding })
        assert.equal(200, answer.status, row[1])
        assert.equal(text, p.requests[1].body)
        assert.is_nil(p.requests[1].headers["content-encoding"])
      end
    end
    assert.equal(200, r:ask("POST", "/v1/chat/completions", text, { ["content-encoding"] = "identity" }).status)
  end))

  it("in a coding that is not known is answered 415, which names those that are", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    for _, coding in ipairs { "compress", "lz4", "gzip, br" } do
      local answer = r:ask("POST", "/v1/chat/completions", text, { ["content-encoding"] = coding })
      assert.equal(415, answer.status)
      assert.equal("unsupported_encoding", answer.json.error.code)
      assert.matches(coding, answer.json.error.message, 1, true)
      assert.equal("gzip, deflate, zstd, br", answer.headers["accept-encoding"])
    end
  end))

  it("that is not what it says is answered 400", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    for _, row in ipairs(packed) do
      local whole = bytes(row[2])
      for _, wrong in ipairs { whole:sub(1, -2), whole:sub(1, 10), text, whole .. "x" } do
        local answer = r:ask("POST", "/v1/chat/completions", wrong, { ["content-encoding"] = row[1] })
        assert.equal(400, answer.status, row[1])
        assert.equal("invalid_encoding", answer.json.error.code)
      end
    end
  end))

  it("keeps to the limit of a body, unpacked", router.test(function(start)
    local r = start { limits = { body_bytes = 1024 },
      providers = { router.provider("a", provider.start(), { models = { "m" } }) } }
    local directory = process.directory()
    local file = assert(io.open(directory .. "/body", "wb"))
    file:write('{"model":"m","messages":[{"role":"user","content":"' .. ("a"):rep(4096) .. '"}]}')
    file:close()
    assert(os.execute(("gzip %s/body"):format(process.quote(directory))))
    local small = assert(io.open(directory .. "/body.gz", "rb")):read "a"
    assert.is_true(#small < 200)
    local answer = r:ask("POST", "/v1/chat/completions", small, { ["content-encoding"] = "gzip" })
    assert.equal(413, answer.status)
    assert.equal("request_too_large", answer.json.error.code)
  end))
end)

describe("a byte order mark in front of a request", function()
  teardown(process.stop_all)

  it("is taken off, and blanks stay", router.test(function(start)
    local p = provider.start()
    local r = start { providers = { router.provider("a", p, { models = { "m" } }) } }
    assert.equal(200, r:ask("POST", "/v1/chat/completions", "\239\187\191" .. text).status)
    assert.equal(text, p.requests[1].body)
    assert.equal(200, r:ask("POST", "/v1/chat/completions", "\239\187\191\r\n\t " .. text).status)
    assert.equal(400, r:ask("POST", "/v1/chat/completions", "\239\187" .. text).status)
    assert.equal(400, r:ask("POST", "/v1/chat/completions", "\239\187\191\239\187\191" .. text).status)
  end))
end)
