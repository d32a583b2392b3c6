-- What policies write to the log: one line each, whatever they give.
local cjson = require "cjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

describe("a log line of a policy", function()
  teardown(process.stop_all)

  --- The line whose message is `text`, as it stands in the log.
  local function line_of(r, text)
    r.process:read_lines()
    for _, line in ipairs(r.process.lines) do
      if line:find(text, 1, true) then return line end
    end
  end

  it("has each name once, and what it says of itself is not the policy's to say", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "logs.lua" } }, {
      ["logs.lua"] = [[
        local peri = require "perilune"
        return { request = function()
          peri.log.info("mine", { level = "error", msg = "other", ts = "1999", component = "x", level_ = 2,
            ["a b"] = 1, a_b = 2, ["a\0b"] = 3, ["a\255b"] = 4, [("k"):rep(100)] = 5, [("k"):rep(101)] = 6 })
        end }]],
    })
    assert.equal(200, r:chat().status)
    local line = line_of(r, '"msg":"mine"')
    local seen = {}
    for name in line:gmatch '[{,]"([^"]*)":' do
      assert.is_nil(seen[name], name)
      seen[name] = true
    end
    local record = cjson.decode(line)
    assert.same({ "mine", "info", "policy" }, { record.msg, record.level, record.component })
    assert.same({ "other", "1999", "x" }, { record.msg_, record.ts_, record.component_ })
    local levels, texts = { record.level_, record.level__ }, { record.a_b, record.a_b_, record.a_b__, record.a_b___ }
    table.sort(texts)
    table.sort(levels, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({ 2, "error" }, levels)
    assert.same({ 1, 2, 3, 4 }, texts)
  end))

  it("is one whole line, whatever it holds", router.test(function(start)
    local r = start({ providers = { router.provider("a", provider.start()) }, policies = { "logs.lua" } }, {
      ["logs.lua"] = [[
        local peri = require "perilune"
        return { request = function()
          local many = {}
          for i = 1, 32 do many["f" .. i] = ("\0"):rep(1 << 20) end
          peri.log.info("many", many)
          peri.log.info("odd", { broken = "a\255\xed\xa0\x80", nul = "a\0b", line = "a\r\nb", quote = '"\\' })
          peri.log.info(("m"):rep(1 << 20), { ["\"}\n{"] = "\"}\n{" })
          peri.log.info("after")
        end }]],
    })
    assert.equal(200, r:chat().status)
    r:await_requests(1)
    local many = cjson.decode(line_of(r, '"msg":"many"'))
    local count, first = 0
    for name, value in pairs(many) do
      if name:match "^f%d+$" then count, first = count + 1, value end
    end
    assert.is_true(count >= 2 and count < 32)
    assert.equal(("\0"):rep(4096), first)
    assert.same({ "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}", "a\0b", "a\r\nb", '"\\' },
      { r:log("odd")[1].broken, r:log("odd")[1].nul, r:log("odd")[1].line, r:log("odd")[1].quote })
    assert.equal('"}\n{', r:log(("m"):rep(4096))[1]["____"])
    assert.equal(1, #r:log "after")
    for _, line in ipairs(r.process.lines) do
      if line:find("^{") then assert.is_true(pcall(cjson.decode, line), line:sub(1, 200)) end
    end
  end))
end)
