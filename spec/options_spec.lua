-- Every table of options that a script gives to a function of ours: unknown names and wrong values are refused, with
-- the function's name and what was expected.
local peri = require "perilune"
local check = require "spec.support.check"

-- Values of every kind, as policies write them, and which kinds of options take them.
local VALUES = {
  { text = "-1" }, { text = "0.5", }, { text = "0/0" }, { text = "math.huge" }, { text = "1e300" },
  { text = "math.mininteger" }, { text = "'5'", takes = "text" }, { text = "true", takes = "flag" },
  { text = "{}", takes = "table" }, { text = "print", takes = "function" }, { text = "coroutine.create(print)" },
}

local EXPECTED = { integer = "must be an integer from ", text = "must be a string, got ",
  flag = "must be true or false, got ", table = "must be a table, got ", ["function"] = "must be a function, got " }

-- name of the function, a call with %s for the table, its options by kind; `given`: what else the table needs
local POLICY = {
  { "req:try", "req:try('a', %s)", integer = { "first_token_ms", "total_ms" }, text = { "model" } },
  { "req:pick", "req:pick(%s)", flag = { "overflow" } },
  { "peri.providers", "peri.providers(%s)", text = { "model", "network" }, flag = { "healthy" },
    integer = { "tier", "context_tokens" } },
  { "peri.http.fetch", "peri.http.fetch(%s)", given = "url = 'http://127.0.0.1:1/', ",
    text = { "url", "method", "body" }, flag = { "http2" }, table = { "headers" },
    integer = { "timeout_ms", "connect_ms", "first_byte_ms", "idle_ms", "max_bytes" } },
}
local TRUSTED = {
  { "peri.http.serve", "peri.http.serve(%s)", text = { "listen" }, ["function"] = { "handler" },
    flag = { "reuse_port", "allow_half_close" },
    integer = { "header_bytes", "header_lines", "uri_bytes", "body_bytes", "connections", "header_ms", "body_ms",
      "idle_ms", "write_ms", "write_high", "write_low" } },
  { "peri.sandbox.run", "peri.sandbox.run('', %s)", integer = { "cpu_ms", "steps", "heap_bytes", "seed" },
    table = { "search" } },
  { "peri.gonka.check", "peri.gonka.check(%s)", text = { "authorization", "body", "timestamp", "node", "public_key" } },
  { "peri.gonka.sign", "peri.gonka.sign(%s)", text = { "key", "body", "node", "scheme" }, integer = { "timestamp" } },
  { "peri.http.fetch", "peri.http.fetch(%s)", given = "url = 'http://127.0.0.1:1/', ",
    text = { "ca_file", "unix" }, flag = { "insecure" }, ["function"] = { "on_chunk" } },
}

--- { call =, want = } of everything that is to be refused.
local function wrong_calls(tables)
  local calls = {}
  local function add(row, inside, want)
    calls[#calls + 1] = { call = row[2]:format("{ " .. (row.given or "") .. inside .. " }"), want = want }
  end
  for _, row in ipairs(tables) do
    add(row, "nonsense_x = 1", row[1] .. " has no option 'nonsense_x'")
    add(row, "[1] = 1", row[1] .. " has no option '1'")
    calls[#calls + 1] = { call = row[2]:format "5", want = "" }
    for kind, expected in pairs(EXPECTED) do
      for _, name in ipairs(row[kind] or {}) do
        add(row, name:sub(1, -2) .. " = 1", ("%s has no option '%s', did you mean '"):format(row[1], name:sub(1, -2)))
        for _, value in ipairs(VALUES) do
          if value.takes ~= kind then
            add(row, name .. " = " .. value.text, ("%s: '%s' %s"):format(row[1], name, expected))
          end
        end
      end
    end
  end
  return calls
end

-- Arguments that are no tables of options: one call and what is said of it.
local ARGUMENTS = {
  { "peri.sleep(0/0)", "milliseconds" }, { "peri.sleep(-1)", "milliseconds" }, { "peri.sleep('x')", "number expected" },
  { "peri.sleep(math.huge)", "milliseconds" }, { "peri.sleep()", "number expected" },
  { "peri.shared.set('k', 1, 0/0)", "milliseconds" }, { "peri.shared.set('k', 1, -1)", "milliseconds" },
  { "peri.shared.set('k', 0/0)", "not a number" }, { "peri.shared.add('k', 0/0)", "not a number" },
  { "peri.shared.add('k', 1, math.huge)", "milliseconds" }, { "peri.shared.add('k', '1')", "number expected" },
  { "peri.shared.set('k', {})", "nil, boolean, number or string expected" },
  { "peri.shared.set('', 1)", "1 to 256 bytes" }, { "peri.shared.swap('k', nil, 0/0)", "not a number" },
  { "peri.rand_below(0)", "must be positive" }, { "peri.rand_below(0.5)", "no integer representation" },
  { "peri.log.info()", "string expected" }, { "peri.log.info('x', 5)", "table expected" },
  { "req:reply(99, {})", "status from 200 to 599" }, { "req:reply(0/0, {})", "no integer representation" },
  { "req:fail(600, 'x')", "status from 200 to 599" }, { "req:fail(500, {})", "string expected" },
  { "req:try(5)", "provider or provider id expected" },
  { "req:try('a', { model = '' })", "the name of a model is empty" },
  { "req:try('a', { model = 'a\\nb' })", "the name of a model holds a control character" },
  { "req.model = 5", "req.model must be a string" }, { "req.model = ('x'):rep(300)", "is longer than 256 bytes" },
  { "req.model = 'nobody'", "no provider serves the model 'nobody'" }, { "req.body = {}", "can not be set" },
}

describe("options in a policy", function()
  before_each(check.open)
  after_each(check.close)

  it("are refused when nobody knows them, or their value is not what they take", function()
    local calls, functions = wrong_calls(POLICY), {}
    for _, row in ipairs(ARGUMENTS) do calls[#calls + 1] = { call = row[1], want = row[2] } end
    for i, case in ipairs(calls) do functions[i] = ("function() %s end"):format(case.call) end
    check.write("p.lua", "local peri = require 'perilune'\nlocal calls\nlocal policy = {}\nfunction policy.route(req)\n"
      .. "local calls, said = {" .. table.concat(functions, ",\n") .. "}, peri.json.array {}\n"
      .. "for i, call in ipairs(calls) do said[i] = tostring(select(2, pcall(call))) end\n"
      .. "req:reply(200, { said = said })\nend\nreturn policy\n")
    check.write("a_test.lua", [[
local testing, json = require "perilune.testing", require("perilune").json
testing.test("asks", function(t)
  local router = t:router { policies = { "p.lua" }, policy = { budget = "2s" },
    providers = { { id = "a", models = { "m" } } } }
  local got = router:chat { model = "m" }
  t:equal(#router.providers.a.requests, 0)
  for _, text in ipairs(got.json.said) do print(json.encode(text)) end
end)]])
    local _, out, err = check.perilune "test a_test.lua"
    local said = {}
    for line in out:gmatch "[^\n]+" do said[#said + 1] = peri.json.decode(line) end
    assert.is_true(#calls > 150 and #said >= #calls, out .. err)
    for i, case in ipairs(calls) do
      local told = ("%s\nsaid: %s\nnot:  %s"):format(case.call, said[i], case.want)
      assert.is_truthy(said[i]:find(case.want, 1, true), told)
    end
  end)
end)

describe("options in a trusted script", function()
  it("are refused when nobody knows them, or their value is not what they take", function()
    local calls = wrong_calls(TRUSTED)
    assert.is_true(#calls > 100)
    for _, case in ipairs(calls) do
      local ok, why = pcall(peri.run, assert(load("local peri = require 'perilune' " .. case.call)))
      assert.is_false(ok, case.call)
      local told = ("%s\nsaid: %s\nnot:  %s"):format(case.call, tostring(why), case.want)
      assert.is_truthy(tostring(why):find(case.want, 1, true), told)
    end
  end)

  it("are read as they are checked, wherever they come from", function()
    local asked = 0
    local inherited = setmetatable({}, { __index = function(_, name)
      asked = asked + 1
      return ({ cpu_ms = asked % 2 == 1 and 50 or -1, heap_bytes = 1 << 20 })[name]
    end })
    assert.equal(7, (peri.sandbox.run("return 7", inherited)))
    assert.equal(7, (peri.sandbox.run("return 7", { cpu_ms = 50.0 })))
  end)
end)
