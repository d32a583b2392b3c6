--- program: what `perilune test` runs. Arguments: --filter=, --seed=, --format=, --budget=, --timeout=, and the files.
-- Each file runs in a process of its own (peri.testbed.isolate), which says what becomes of each test. When that
-- process ends in the middle of one, or says nothing for too long, that is this test's failure, and another process
-- goes on behind it.
local peri = require "perilune"
local case = require "perilune.testing.case"
local report = require "perilune.testing.report"
local testing = require "perilune.testing"

local json = peri.json
local settings = { filter = "", seed = 1, format = "text", budget = 10000, timeout = 60000 }

local function usage(...)
  io.stderr:write("perilune test: ", string.format(...), "\n")
  return 2
end

-- ---- In the file's process ----

local function limited(fn, file)
  local ok, err, trace, code = peri.testbed.limit(settings.budget, fn)
  if ok then return true, err end
  if code == "EBUDGET" then return false, case.overdue(settings.budget, trace, file) end
  return false, case.failure(err, trace, file)
end

--- What a file's own names may be: it reads the globals, and keeps what it sets.
local function load_tests(file)
  local own = setmetatable({}, { __index = _G })
  local chunk, why = loadfile(file, "t", own)
  if not chunk then error(why, 0) end
  return testing.collect(chunk)
end

local function result_of(test, failure, t)
  return { name = test.name, file = test.file, line = test.line, ok = not failure,
    message = failure and failure.message, at = failure and failure.line or nil, log = t and t.log or {},
    journal = t and t.journal or {} }
end

local function run_test(test)
  local t = case.new(test, settings.seed)
  local ok, failure = limited(function() test.fn(t) end, test.file)
  local judged = t:finish()
  if not ok and not (judged and t.failed) then judged = failure end
  return result_of(test, judged, t)
end

--- Run a file's tests behind the first `done`, and tell of each when it begins and when it has ended.
local function run_rest(file, done, send)
  local function tell(kind, value) send(json.encode { kind = kind, value = value }) end
  local ok, tests = limited(function() return load_tests(file) end, file)
  if not ok then
    tell("result", result_of({ name = "the file does not load", file = file, line = 1 }, tests))
    return
  end
  for i, test in ipairs(tests) do
    test.file = file
    if i > done and test.name:find(settings.filter) then
      tell("begin", { name = test.name, file = file, line = test.line, number = i })
      tell("result", run_test(test))
    end
  end
end

-- ---- In the program's own process ----

--- Run a file, in as many processes as it takes.
local function run_file(file, tell)
  local done, is_over = 0, false
  while not is_over do
    local running
    local ok, why = peri.testbed.isolate(settings.timeout, function(send) run_rest(file, done, send) end, function(line)
      local said = json.decode(line)
      if said.kind == "begin" then
        running = said.value
      else
        running = nil
        tell(said.value)
      end
    end)
    is_over = ok or not running
    if running then
      done = running.number
      tell(result_of(running, { message = why or "its process ended before the test did" }))
      is_over = false
    elseif not ok then
      tell(result_of({ name = "the file does not load", file = file, line = 1 }, { message = why }))
    end
  end
end

local function read_arguments(...)
  local files = {}
  for _, arg in ipairs { ... } do
    local name, value = arg:match "^%-%-(%w+)=(.*)$"
    if name then settings[name] = value else files[#files + 1] = arg end
  end
  for _, name in ipairs { "seed", "budget", "timeout" } do settings[name] = math.tointeger(settings[name]) end
  return files
end

local function wrong_argument()
  if not report.formats[settings.format] then
    return usage("--format takes text, tap or json, got '%s'", settings.format)
  end
  if not settings.seed or settings.seed < 1 then return usage "--seed takes a whole number from 1 on" end
  for _, name in ipairs { "budget", "timeout" } do
    local ms = settings[name]
    if not ms or ms < 1 or ms > 3600000 then return usage("--%s takes milliseconds, 1 to 3600000", name) end
  end
  if not pcall(string.find, "", settings.filter) then
    return usage("--filter takes a Lua pattern, got '%s'", settings.filter)
  end
end

local function main(...)
  local files, counts = read_arguments(...), { [true] = 0, [false] = 0 }
  local wrong = wrong_argument()
  if wrong then return wrong end
  local format = report.formats[settings.format]
  if format.begin then format.begin() end
  for _, file in ipairs(files) do
    run_file(file, function(result)
      counts[result.ok] = counts[result.ok] + 1
      format.result(result)
    end)
  end
  format.totals(counts[true], counts[false])
  if counts[true] + counts[false] > 0 then return counts[false] > 0 and 1 or 0 end
  io.stderr:write "perilune test: no test was run\n"
  return 1
end

return main(...)
