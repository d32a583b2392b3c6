-- `perilune test`: users' specs of their policies, run by the program over files that pass, fail, raise and loop.
local cjson = require "cjson"
local check = require "spec.support.check"

local build = os.getenv "PERILUNE_BUILD" or "build"

local HEAD = 'local testing = require "perilune.testing"\n' -- the tests themselves begin in line 2

local function write(name, text) check.write(name, HEAD .. text) end

local function run(args) return check.perilune("test " .. (args or "a_test.lua")) end

--- A file of one test, whose body gets `t` and `testing`; the program's answer.
local function body(text, args)
  write("a_test.lua", 'testing.test("the only one", function(t)\n' .. text .. "\nend)\n")
  return run(args)
end

local function passes(text, args)
  local code, out, err = body(text, args)
  assert.equal("1 passed, 0 failed\n" .. err, out)
  assert.equal(0, code)
end

local function fails(text, ...)
  local code, out = body(text)
  assert.equal(1, code)
  for _, part in ipairs { ... } do assert.is_truthy(out:find(part, 1, true), part .. "\n-- not in --\n" .. out) end
  return out
end

local two = [[
local router = t:router { providers = { { id = "a", tier = 1, answers = { %s } }, { id = "b", tier = 2 } } }
]]

describe("perilune test", function()
  before_each(check.open)
  after_each(check.close)

  it("says how many passed", function()
    write("a_test.lua", 'testing.test("one", function(t) t:pass() end)\ntesting.test("two", function(t) t:ok(1) end)\n')
    local code, out, err = run()
    assert.same({ 0, "2 passed, 0 failed\n", "" }, { code, out, err })
  end)

  it("says of a failure where it is, what was expected and what came, and goes on", function()
    write("a_test.lua", 'testing.test("is six", function(t)\n  t:equal(5, 6, "sum")\nend)\n'
      .. 'testing.test("fine", function(t) t:pass() end)\n')
    local code, out = run()
    assert.equal(1, code)
    assert.equal('a_test.lua:3: is six\n  sum: expected 6, got 5\n    t:equal(5, 6, "sum")\n\n'
      .. "1 passed, 1 failed\n", out)
  end)

  it("finds where tables differ", function()
    fails('t:equal({ a = { 1, "x" } }, { a = { 1, "y" } })',
      'a_test.lua:3: the only one', 'expected { a = { 1, "y" } }, got { a = { 1, "x" } } ',
      '(at a[2]: expected "y", got "x")')
  end)

  it("has a sentence for each claim", function()
    fails("t:ok(nil, 'answer')", "answer: expected a value, got nil")
    fails("t:match('abc', '^b')", 'expected a text that matches "^b", got "abc"')
    fails("t:near(3, 4, 0.5)", "expected 4 ± 0.5, got 3")
    fails("t:raises(function() end)", "expected an error, and there was none")
    fails("t:fail 'never mind'", "  never mind\n")
  end)

  it("tells of errors in the file's own lines", function()
    fails("local x\nx.y = 1", "a_test.lua:4: the only one\n  attempt to index a nil value (local 'x')\n    x.y = 1\n")
    fails("error { code = 1 }", "a_test.lua:3: the only one\n  table: ")
  end)

  it("stops what loops, whatever it catches, and goes on", function()
    write("a_test.lua", 'testing.test("loops", function()\n'
      .. "  while true do pcall(function() while true do end end) end\nend)\n"
      .. 'testing.test("fine", function(t) t:pass() end)\n')
    local code, out = run "--budget 100 a_test.lua"
    assert.equal(1, code)
    assert.matches("^a_test.lua:3: loops\n  was stopped: it took longer than 100 ms\n", out)
    assert.matches("\n1 passed, 1 failed\n$", out)
  end)

  it("keeps a claim that did not hold, whatever catches its error", function()
    for _, text in ipairs {
      "pcall(function()\n  t:equal(1, 2) end)", "xpcall(function()\n  t:equal(1, 2) end, print)",
      "coroutine.wrap(function() pcall(function()\n  t:equal(1, 2) end) end)()",
      "coroutine.resume(coroutine.create(function()\n  t:equal(1, 2) end))",
      "t:raises(function()\n  t:equal(1, 2) end)",
      "t:raises(function() pcall(function()\n  t:equal(1, 2) end) error 'x' end)",
      "pcall(function()\n  t:equal(1, 2) end) pcall(function() t:equal(3, 4) end) error 'more'",
      "local router = t:router { providers = { { id = 'a', answers = function() pcall(function()\n  t:equal(1, 2) end)"
        .. " return testing.chat 'x' end } } } router:chat()",
    } do
      fails(text, "a_test.lua:4: the only one\n  expected 2, got 1\n", "\n0 passed, 1 failed\n")
    end
  end)

  it("fails a test that claims nothing", function()
    fails("local x = 1", "a_test.lua:2: the only one\n  the test claims nothing: t:equal and its like say what is so")
    fails("t:router { providers = { { id = 'a' } } }:chat()", "the test claims nothing")
    for _, text in ipairs { "t:pass()", "t:ok(1)", "t:match('a', 'a')", "t:near(1, 1, 0)", "t:raises(error)" } do
      passes(text)
    end
  end)

  it("reports a test that ends its process, and runs the others", function()
    local test = 'testing.test("%s", function(t)\n  %s\nend)\n'
    local ends = { ["os.exit(0)"] = "its process ended before the test did",
      ["os.exit(3)"] = "its process ended with exit code 3",
      ["os.execute('kill -ABRT $PPID') while true do end"] = "its process ended by signal 6 (Aborted)",
      ["os.execute('kill -KILL $PPID') while true do end"] = "its process ended by signal 9 (Killed)",
      ["os.execute 'sleep 30'"] = "was stopped: it took longer than 1000 ms",
      ["('a'):rep(40):find(('a*'):rep(40) .. 'b')"] = "was stopped: it took longer than 1000 ms" }
    for text, why in pairs(ends) do
      write("a_test.lua", test:format("first", "t:pass()") .. test:format("bad", text)
        .. test:format("last", "t:pass()") .. test:format("after it", "t:equal(1, 2)"))
      write("b_test.lua", test:format("another file", "t:pass()"))
      local code, out = run "--timeout 1000 --budget 3000 a_test.lua b_test.lua"
      assert.equal(1, code, text)
      assert.is_truthy(out:find("a_test.lua:5: bad\n  " .. why, 1, true), text .. "\n" .. out)
      assert.is_truthy(out:find("a_test.lua:12: after it\n  expected 2, got 1", 1, true), out)
      assert.matches("\n3 passed, 2 failed\n$", out)
    end
    for text, why in pairs { ["os.exit(3)"] = "its process ended with exit code 3",
      ["os.execute 'sleep 30'"] = "was stopped" } do
      write("a_test.lua", text)
      local code, out = run "--timeout 1000 a_test.lua b_test.lua"
      assert.equal(1, code)
      assert.matches("a_test.lua:1: the file does not load\n  " .. why, out)
      assert.matches("\n1 passed, 1 failed\n$", out)
    end
  end)

  it("counts a file that does not load as one failure, with its place", function()
    check.write("a_test.lua", "local x =\n\n= 1\n")
    check.write("b_test.lua", "while true do end\n")
    check.write("c_test.lua", 'require "perilune.testing".test(1)\n')
    local code, out = run "--budget 100 a_test.lua b_test.lua c_test.lua"
    assert.equal(1, code)
    assert.matches("a_test.lua:3: the file does not load\n  unexpected symbol near '='", out)
    assert.matches("b_test.lua:1: the file does not load\n  was stopped", out)
    assert.matches("c_test.lua:1: the file does not load\n  testing.test takes a name and a function", out)
    assert.matches("\n0 passed, 3 failed\n$", out)
  end)

  it("finds the files of a folder, in order", function()
    for _, name in ipairs { "policies/b_test.lua", "policies/a_test.lua", "conf/c_test.lua", "conf/helper.lua" } do
      write(name, ('testing.test("%s", function(t) t:pass() end)\n'):format(name))
    end
    local code, out = run "--format tap policies conf"
    assert.equal(0, code)
    assert.equal("TAP version 13\nok 1 - policies/a_test.lua\nok 2 - policies/b_test.lua\nok 3 - conf/c_test.lua\n"
      .. "1..3\n# 3 passed, 0 failed\n", out)
    assert.matches("\n3 passed, 0 failed\n$", "\n" .. select(2, run ""))
  end)

  it("runs only the tests that --filter names, and says when there is none", function()
    write("a_test.lua", 'testing.test("one", function(t) t:pass() end)\n'
      .. 'testing.test("two", function(t) t:fail "no" end)\n')
    assert.same({ 0, "1 passed, 0 failed\n", "" }, { run "--filter=^on a_test.lua" })
    local code, out, err = run "--filter three a_test.lua"
    assert.same({ 1, "0 passed, 0 failed\n", "perilune test: no test was run\n" }, { code, out, err })
  end)

  it("prints TAP and JSON", function()
    write("a_test.lua", 'testing.test("good", function(t) t:pass() end)\n'
      .. 'testing.test("bad", function(t) t:equal(1, 2) end)\n')
    local code, out = run "--format=tap a_test.lua"
    assert.equal(1, code)
    assert.matches('\nok 1 %- good\nnot ok 2 %- bad\n  %-%-%-\n  message: "expected 2, got 1"\n'
      .. '  at: "a_test.lua:3"\n', out)
    code, out = run "--format=json a_test.lua"
    assert.equal(1, code)
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = cjson.decode(line) end
    assert.is_true(lines[1].ok)
    assert.same({ false, 3, "expected 2, got 1" }, { lines[2].ok, lines[2].line, lines[2].message })
    assert.same({ passed = 1, failed = 1 }, lines[3])
  end)

  it("does not wait for a program that a test leaves behind", function()
    write("a_test.lua", [[testing.test("starts one", function(t)
  os.execute "sleep 20 >/dev/null 2>&1 & echo $! >left.pid"
  t:ok(true)
end)]])
    local code, out = run "--timeout=5000 a_test.lua"
    os.execute(("kill $(cat %s/left.pid)"):format(check.folder()))
    assert.same({ 0, "1 passed, 0 failed\n" }, { code, out })
  end)

  it("says what is wrong with its arguments", function()
    write("a_test.lua", "")
    for args, why in pairs {
      ["--colour a_test.lua"] = "unknown argument '%-%-colour'", ["nowhere"] = "nowhere: No such file",
      ["--format=xml a_test.lua"] = "takes text, tap or json, got 'xml'",
      ["--seed=x a_test.lua"] = "takes a whole number",
      ["--budget=0 a_test.lua"] = "takes milliseconds",
      ["--timeout=-1 a_test.lua"] = "%-%-timeout takes milliseconds",
      ["'--filter=[' a_test.lua"] = "takes a Lua pattern",
    } do
      local code, _, err = run(args)
      assert.equal(2, code, args)
      assert.matches("^perilune test: .*" .. why, err)
    end
    assert.matches("%-%-filter PATTERN", select(2, check.perilune "help test"))
  end)
end)

describe("a router under test", function()
  before_each(check.open)
  after_each(check.close)

  it("shows what happened and what was logged when a test fails, and only then", function()
    local asks = two:format "testing.status(500)" .. "local got = router:chat()\n"
    local out = fails(asks .. 't:equal(got.tried, { "a" })', "what happened:", "0 ms  a is asked and answers 500",
      '0 ms  b is asked and answers "hello from b"', "the client has its answer, 200", "log:", "attempt failed")
    assert.matches("\n    info   request  attempts=2 ", out)
    assert.matches('  tried=%[{"error":"EUPSTREAM","ms":0,"provider":"a","status":500},{', out)
    passes(asks .. 't:equal(got.tried, { "a", "b" })')
  end)

  it("moves its clock to what happens next, and to where the test says", function()
    passes(two:format "testing.stall()" .. [[
local got = router:chat { stream = true }
t:equal(got.tried, { "a", "b" })
t:ok(got.elapsed_ms >= 10000, "the router's own time limit")
local before = router.providers.b.requests[1].at_ms
t:advance(3600000)
router:chat()
local last = router.providers.a.requests[2]
t:equal(last.at_ms - before, 3600000)]])
  end)

  it("has providers that fail in every way", function()
    for says, answer in pairs { refused = "testing.refuse()", cut = "testing.cut()", status = "testing.status(503)",
      early = "testing.stream { testing.cut() }", inside = 'testing.stream { testing.error_frame "no" }' } do
      passes(two:format(answer) .. [[
local got = router:chat { stream = true }
t:equal({ got.status, got.text, got.complete, got.tried }, { 200, "hello from b", true, { "a", "b" } },
  "]] .. says .. '")')
    end
  end)

  it("shows a client what came of a stream, and when", function()
    passes(two:format 'testing.stream { testing.frame ": hi\\n\\n", "he", 100, "llo", 400, testing.cut() }' .. [[
local asked = router:ask { stream = true }
t:ok(not asked:peek():find "llo")
t:advance(100)
t:match(asked:peek(), '"content":"llo"')
local got = asked:answer()
t:equal({ got.text, got.complete, got.elapsed_ms }, { "hello", false, 500 })
t:ok(got.error.message)]])
  end)

  it("sees what providers were sent, headers and bytes", function()
    passes([[
local router = t:router { providers = { { id = "a", headers = { ["x-team"] = "blue" },
  answers = function(request, n) return testing.chat(request.json.messages[1].content .. n) end } } }
local body = '{"model":"m",  "messages":[{"role":"user","content":"caf\\u00e9"}]}'
t:equal(router:chat(body).text, "café1")
t:equal(router:chat(body).text, "café2")
local sent = router.providers.a.requests[2]
t:equal({ sent.body, sent.path, sent.headers["x-team"], sent.left }, { body, "/v1/chat/completions", "blue", false })]])
  end)

  it("passes usage, tool calls and other endpoints on", function()
    passes([[
local router = t:router { providers = { { id = "a", answers = {
  testing.chat("hi", { usage = { prompt_tokens = 3, completion_tokens = 1, total_tokens = 4 } }),
  testing.chat(nil, { tool_calls = { { id = "call_9", name = "f", arguments = '{"x":1}' } } }),
  testing.status(200, { body = '{"object":"list","data":[{"index":0,"embedding":[0.5]}],"model":"m"}' }) } } } }
t:equal(router:chat({ stream = true, stream_options = { include_usage = true } }).usage.total_tokens, 4)
local got = router:chat { stream = true }
t:equal(got.tool_calls, { { id = "call_9", name = "f", arguments = '{"x":1}' } })
t:equal(got.finish_reason, "tool_calls")
t:equal(router:chat({ input = "text" }).status, 200)
t:equal(router.providers.a.requests[3].path, "/v1/embeddings")]])
  end)

  it("leaves a provider when the client leaves", function()
    passes(two:format 'testing.stream { "he", 60000, "llo" }' .. [[
local asked = router:ask { stream = true }
t:match(asked:peek(), '"content":"he"')
asked:hang_up()
t:ok(router.providers.a.requests[1].left)
t:equal(router.providers.b.asked, 0)
t:raises(function() asked:answer() end, "has hung up")]])
  end)

  it("has several requests under way", function()
    passes([[
local router = t:router { providers = {
  { id = "a", max_concurrent = 1, answers = { testing.chat("x", { wait = 100 }) } } } }
local first, second = router:ask(), router:ask()
t:equal({ first:answer().elapsed_ms, second:answer().elapsed_ms }, { 100, 200 })]])
  end)

  it("draws the same with the same seed", function()
    local draws = [[
local router = t:router { policies = { "p.lua" }, providers = { { id = "a" }, { id = "b" } } }
local got = {}
for i = 1, 40 do got[i] = router:chat().provider end
t:fail(table.concat(got))]]
    check.write("p.lua", [[local peri = require "perilune"
return { route = function(req)
  local list = req:providers()
  return (req:try(list[peri.rand_below(#list) + 1]))
end }]])
    local runs = {}
    for i, seed in ipairs { 7, 7, 8 } do
      local _, out = body(draws, "--seed " .. seed .. " a_test.lua")
      runs[i] = out:match "\n  ([ab]+)\n"
      assert.equal(40, #runs[i])
    end
    assert.equal(runs[1], runs[2])
    assert.not_equal(runs[1], runs[3])
  end)

  it("claims shares, and says by how much they are off", function()
    local asks = [[local router = t:router { providers = { { id = "a", weight = 3 }, { id = "b", weight = 1 } } }
]]
    passes(asks .. "t:distribution(router, 200, { a = 0.75, b = 0.25 })")
    fails(asks .. "t:distribution(router, 200, { b = 0.75 })", "provider b answered ", " of 200 requests, ",
      "expected 75.0 % ± 12.2")
  end)

  it("is another one for every test", function()
    check.write("p.lua", [[local peri = require "perilune"
return { request = function(req) req:reply(200, { n = peri.shared.add("n", 1) }) end }]])
    write("a_test.lua", ([[testing.test("%s", function(t)
  t:equal(rawget(_G, "left"), nil)
  left = 1
  local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } } }
  t:equal(router:chat().json.n, 1)
  t:equal(router:chat().json.n, 2)
  t:equal(t:router({ policies = { "p.lua" }, providers = { { id = "a" } } }):chat().json.n, 1)
end)
]]):rep(2))
    local code, out = run()
    assert.same({ 0, "2 passed, 0 failed\n" }, { code, out })
  end)

  it("gives policies its clock", function()
    check.write("p.lua", [[local peri = require "perilune"
return { request = function(req)
  local began = peri.clock.wall_ns()
  peri.sleep(5000)
  req:reply(200, { slept = (peri.clock.wall_ns() - began) // 1000000, day = began // 86400000000000 })
end }]])
    passes([[
local got = t:router({ policies = { "p.lua" }, providers = { { id = "a" } } }):chat()
t:equal({ got.json.slept, got.elapsed_ms, got.json.day }, { 5000, 5000, 20454 })]])
  end)

  it("lets what policies remember end by that clock", function()
    check.write("p.lua", [[local peri = require "perilune"
return { request = function(req) req:reply(200, { n = peri.shared.add("n", 1, 1000) }) end }]])
    passes([[
local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } } }
t:equal({ router:chat().json.n, router:chat().json.n }, { 1, 2 })
t:advance(1001)
t:equal(router:chat().json.n, 1)]])
  end)

  it("fails the test when a policy fails, unless that is expected", function()
    check.write("p.lua", "return { route = function()\n  error 'lost the way'\nend }")
    local asks = 'local router = t:router { policies = { "p.lua" }, providers = { { id = "a" } } }\nrouter:chat()\n'
    fails(asks, "a_test.lua:2: the only one", "the policy failed in `route`: ", "p.lua:2: lost the way")
    passes(asks .. "t:expect_policy_error 'lost the way'")
    fails(asks .. "t:expect_policy_error 'another'",
      'expected a policy error that matches "another", got the policy failed')
    fails("t:expect_policy_error()", "expected a policy error, and there was none")
  end)

  it("stops a policy at its own budget, not at the test's", function()
    check.write("p.lua", "return { route = function() while true do end end }")
    fails('t:router({ policies = { "p.lua" }, policy = { budget = "20ms" }, providers = { { id = "a" } } }):chat()',
      "the policy failed in `route`: p.lua:1: stopped: it used up its budget of 20 ms")
  end)

  it("says in a sentence what a test may not ask for", function()
    check.write("p.lua", "return 1 +")
    for wanted, why in pairs {
      ['policies = { "p.lua" }, providers = { { id = "a" } }'] = "p.lua:1: unexpected symbol",
      ['policies = { "none.lua" }, providers = { { id = "a" } }'] = "'none.lua', which can not be read",
      ['provider = {}, providers = { { id = "a" } }'] = "did you mean 'providers'",
      ['policies = {}'] = "a router needs `providers`",
      ['providers = { { id = "a", url = "http://x" } }'] = "provider 'a' has a `url`",
      ['providers = { { id = "a", network = "gonka" } }'] = "provider 'a' is a network",
      ['providers = { { id = "a", answers = { "hello" } } }'] = "answer 1 is no answer",
      ['providers = { { id = "a", answers = { testing.error_frame "x" } } }'] = "answer 1 is no answer",
    } do fails("t:router { " .. wanted .. " }", "a_test.lua:3: the only one", why) end
    fails("testing.chat('x', { colour = 1 })", "a_test.lua:3: the only one", "testing.chat has no option 'colour'")
    for call, why in pairs {
      ["testing.chat('x', { hedders = {} })"] = "testing.chat has no option 'hedders', did you mean 'headers'?",
      ["testing.stream({}, { wait = -1 })"] = "testing.stream: 'wait' must be a number of milliseconds, got -1",
      ["testing.stream({}, { wait = 0/0 })"] = "testing.stream: 'wait' must be a number of milliseconds, got",
      ["testing.status(500, { header = {} })"] = "testing.status has no option 'header', did you mean 'headers'?",
      ["testing.status(500, 5)"] = "testing.status takes a table of options, got a number",
      ["R:chat({}, { heads = {} })"] = "router:chat has no option 'heads', did you mean 'headers'?",
      ["R:ask({}, { path = 5 })"] = "router:ask: 'path' must be a string, got 5",
      ["t:distribution(R, 1, {}, { withn = 1 })"] = "t:distribution has no option 'withn', did you mean 'within'?",
      ["t:router { policies = { { file = 'p.lua', option = {} } }, providers = { { id = 'a' } } }"] = "option",
      ["t:router { providers = { { id = 'a', answer = {} } } }"] = "did you mean",
    } do
      fails('local R = t:router { providers = { { id = "a" } } }\n' .. call, why)
    end
    fails('t:equal(t:router({ providers = { { id = "a" } } }):chat().txt, nil)', "a_test.lua:3: the only one",
      "an answer has no field 'txt'")
    fails("testing.status(99)", "a_test.lua:3: the only one", "takes a status from 200 to 599, got 99")
    fails("testing.stream { testing.refuse() }", "piece 1 refuses the connection, which is a whole answer of its own")
  end)
end)

describe("the network of a router under test", function()
  before_each(check.open)
  after_each(check.close)

  local program = build:sub(1, 1) == "/" and build or (os.getenv "PWD" .. "/" .. build)

  local fetches = [[local peri = require "perilune"
return { request = function(req)
  local _, _, code = peri.http.fetch { url = "http://nobody.invalid/" }
  if code ~= "EDENIED" then error("got " .. tostring(code)) end
end }]]

  local asks = [[
local router = t:router { policies = { "p.lua" }, providers = { { id = "a", answers = { testing.refuse() } },
  { id = "b", tier = 2, answers = { testing.stream { "hel", "lo" } } } } }
t:equal(router:chat({ stream = true }).text, "hello")]]

  --- The same under another program.
  local function passes_under(command)
    local pipe = assert(io.popen(("cd '%s' && %s '%s/perilune' test a_test.lua 2>&1"):format(check.folder(), command,
      program)))
    assert.equal("1 passed, 0 failed\n", pipe:read "a")
    assert.is_true((pipe:close()))
  end

  it("is nowhere: policies fetch nothing, and it works where there is no network at all", function()
    check.write("p.lua", fetches)
    passes(asks)
    if not os.execute "unshare -rn true 2>/dev/null" then
      print "skipped: no namespace without a network can be had here"
      return
    end
    passes_under "unshare -rn"
  end)

  it("is made of no socket but local ones", function()
    if not os.execute "strace -qq -o /dev/null true 2>/dev/null" then
      print "skipped: nothing can be traced here"
      return
    end
    check.write("p.lua", fetches)
    passes(asks)
    passes_under "ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=socket -o sockets"
    local sockets = check.read(check.folder() .. "/sockets")
    assert.matches("socket%(AF_UNIX", sockets)
    assert.is_nil(sockets:match "socket%(AF_INET[^\n]*")
  end)
end)

describe("the README", function()
  before_each(check.open)
  after_each(check.close)

  it("shows a policy and its test, which passes", function()
    local blocks = {}
    for block in check.read "README.md":gmatch "\n```lua\n(.-)```" do blocks[#blocks + 1] = block end
    for _, block in ipairs(blocks) do
      local name = block:match "^%-%-%- ([%w_]+):" or block:match "^%-%- policies/([%w_]+)%.lua"
      if name then check.write("policies/" .. name .. ".lua", block) end
    end
    local code, out = run "policies"
    assert.same({ 0, "1 passed, 0 failed\n" }, { code, out })
  end)
end)

describe("what the README says of a policy's failures", function()
  before_each(check.open)
  after_each(check.close)

  it("names the options and their defaults", function()
    local block = check.read "README.md":match "\n```lua\n(policy = %b{},\nlimits = %b{},\n)```"
    local code, reference = check.perilune "check --reference"
    assert.equal(0, code)
    local count = 0
    for name, default in block:gmatch "([%w_]+) = \"?([%w]+)\"?[, ]" do
      assert.matches(("\n| `%s` | [^\n]- | `%s` | "):format(name, default), reference)
      count = count + 1
    end
    assert.equal(6, count)
    local provider = 'providers = { { id = "a", url = "http://127.0.0.1:1/v1" } }, '
    assert.equal(0, (check.lua("return { " .. provider .. block .. "}")))
  end)

  it("holds of a policy that clients make fail", function()
    local source = check.read "README.md":match "\n```lua\n(%-%-%- local_first:.-)```"
    check.write("local_first.lua", source)
    check.write("local_first_test.lua", [[local testing = require "perilune.testing"
      local null = '{"model":"m","messages":null}'
      for i, body in ipairs { {}, { messages = 5 }, { messages = {} }, null, { input = "x" } } do
        testing.test("a body " .. i, function(t)
          local router = t:router { policies = { "local_first.lua" }, providers = { { id = "local" } } }
          router:chat(body)
          router:chat('{"model":"m"}')
          t:pass()
        end)
      end]])
    local code, out = run "local_first_test.lua"
    assert.same({ 0, "5 passed, 0 failed\n" }, { code, out })
  end)
end)

describe("our own policies", function()
  it("pass their tests", function()
    local pipe = assert(io.popen("'" .. build .. "/perilune' test policies examples 2>&1"))
    local out = pipe:read "a"
    local _, _, code = pipe:close()
    assert.matches("^%d%d+ passed, 0 failed\n$", out)
    assert.equal(0, code)
  end)
end)
