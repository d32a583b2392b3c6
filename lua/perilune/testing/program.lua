--- program: what `perilune test` runs. Arguments: --filter=, --seed=, --format=, --budget=, and the files.
local peri = require "perilune"
local case = require "perilune.testing.case"
local report = require "perilune.testing.report"
local testing = require "perilune.testing"

local settings = { filter = "", seed = 1, format = "text", budget = 10000 }

local function usage(...)
  io.stderr:write("perilune test: ", string.format(...), "\n")
  return 2
end

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
  local policies = t:finish()
  if ok and policies then failure = { message = policies } end
  if not ok or policies then return result_of(test, failure, t) end
  return result_of(test, nil, t)
end

local function run_file(file, tell)
  local ok, tests = limited(function() return load_tests(file) end, file)
  if not ok then
    tell(result_of({ name = "the file does not load", file = file, line = 1 }, tests))
    return
  end
  for _, test in ipairs(tests) do
    test.file = file
    if test.name:find(settings.filter) then tell(run_test(test)) end
  end
end

local function main(...)
  local files, counts = {}, { [true] = 0, [false] = 0 }
  for _, arg in ipairs { ... } do
    local name, value = arg:match "^%-%-(%w+)=(.*)$"
    if name then settings[name] = value else files[#files + 1] = arg end
  end
  settings.seed, settings.budget = math.tointeger(settings.seed), math.tointeger(settings.budget)
  local format = report.formats[settings.format]
  if not format then return usage("--format takes text, tap or json, got '%s'", settings.format) end
  if not settings.seed or settings.seed < 1 then return usage "--seed takes a whole number from 1 on" end
  if not settings.budget or settings.budget < 1 or settings.budget > 3600000 then
    return usage "--budget takes milliseconds, 1 to 3600000"
  end
  if not pcall(string.find, "", settings.filter) then
    return usage("--filter takes a Lua pattern, got '%s'", settings.filter)
  end
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
