--- case: one test under way, the `t` that a test function gets: its routers and its claims.
local check_options = require "perilune.testing.options"
local router = require "perilune.testing.router"
local values = require "perilune.testing.values"

local case = {}
local Case = {}
Case.__index = Case

local Failure = { __tostring = function(self) return self.message end }

---@param test { name: string, file: string, line: integer }
---@param seed integer
function case.new(test, seed)
  return setmetatable({ test = test, seed = seed, routers = {}, log = {}, journal = {}, claims = 0 }, Case)
end

--- The line of the test file that is being run.
local function place(file)
  for level = 3, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    if info.source == "@" .. file then return info.currentline end
  end
end

local NO_CLAIM = "the test claims nothing: t:equal and its like say what is so, t:pass() that coming so far is enough"

-- The test keeps its first failure, as the error may be caught: by a pcall around it, or in a coroutine.
local function fail(self, form, ...)
  local message = select("#", ...) > 0 and form:format(...) or form
  local failure = setmetatable({ message = message, line = place(self.test.file) }, Failure)
  self.failed = self.failed or failure
  error(failure, 0)
end

-- What a test may expect to go wrong, so it is no claim.
local function refuse(self, message)
  error(setmetatable({ message = message, line = place(self.test.file) }, Failure), 0)
end

local function claim(self) self.claims = self.claims + 1 end

-- Lua shortens a long path from its left: "...cies/fallback_test.lua".
local function is_file(shown, file)
  return shown == file or shown:sub(1, 3) == "..." and file:sub(-#shown + 3) == shown:sub(4)
end

--- The first line of the file that a trace names.
local function traced(trace, file)
  for shown, line in (trace or ""):gmatch "\n%s*([^\n:]+):(%d+): in " do
    if is_file(shown, file) then return math.tointeger(line) end
  end
end

--- What went wrong, as { message, line }.
---@param err any
---@param trace string? of where it was raised
---@param file string the test file
function case.failure(err, trace, file)
  if getmetatable(err) == Failure then return { message = err.message, line = err.line } end
  local text = tostring(err)
  local shown, line, rest = text:match "^([^:\n]+):(%d+): (.*)$"
  if shown and is_file(shown, file) then return { message = rest, line = math.tointeger(line) } end
  return { message = text, line = traced(trace, file) }
end

--- A test that did not come to its end in time.
function case.overdue(ms, trace, file)
  return { message = ("was stopped: it took longer than %d ms"):format(ms), line = traced(trace, file) }
end

-- ---- Routers and time ----

--- A router in a world of its own, with scripted providers. Everything that is not in `providers` is configuration.
function Case:router(options)
  local ok, made = pcall(router.open, options or {}, { seed = self.seed + #self.routers,
    folder = self.test.file:match "^(.*/)" or "" })
  if not ok then refuse(self, tostring(made)) end
  self.routers[#self.routers + 1] = made
  return made
end

--- Time passes for every router of the test.
function Case:advance(ms)
  for _, each in ipairs(self.routers) do each:advance(ms) end
end

-- ---- Claims ----

local function subject(what) return what and (what .. ": ") or "" end

--- They are the same, tables member by member.
function Case:equal(got, want, what)
  claim(self)
  local path, a, b = values.difference(got, want)
  if not path then return end
  local detail = path == "" and "" or (" (at %s: expected %s, got %s)"):format(path:gsub("^%.", ""), values.spell(b),
    values.spell(a))
  fail(self, "%sexpected %s, got %s%s", subject(what), values.spell(want), values.spell(got), detail)
end

--- The text matches a Lua pattern.
function Case:match(text, pattern, what)
  claim(self)
  if type(text) == "string" and text:find(pattern) then return end
  fail(self, "%sexpected a text that matches %s, got %s", subject(what), values.spell(pattern), values.spell(text))
end

--- It is neither nil nor false.
function Case:ok(value, what)
  claim(self)
  if not value then fail(self, "%sexpected a value, got %s", subject(what), values.spell(value)) end
end

--- The numbers are at most `within` apart.
function Case:near(got, want, within, what)
  claim(self)
  if type(got) == "number" and math.abs(got - want) <= within then return end
  fail(self, "%sexpected %s ± %s, got %s", subject(what), values.spell(want), values.spell(within), values.spell(got))
end

--- The function raises an error whose text matches the pattern.
function Case:raises(fn, pattern)
  claim(self)
  local before = self.failed
  local ok, err = pcall(fn)
  if self.failed ~= before then error(self.failed, 0) end -- a claim in it did not hold: that is not the error meant
  if ok then fail(self, "expected an error, and there was none") end
  if pattern and not tostring(err):find(pattern) then
    fail(self, "expected an error that matches %s, got %s", values.spell(pattern), values.spell(tostring(err)))
  end
end

function Case:fail(sentence) fail(self, "%s", tostring(sentence)) end

--- That the test came this far is what it claims.
function Case:pass() claim(self) end

--- Ask `n` times and claim each provider's share of the answers.
--- Without `within`, four standard deviations are allowed: a right policy fails once in 16,000 seeds.
---@param shares table<string, number> by provider, for example { a = 0.75, b = 0.25 }
---@param options? { within?: number, body?: table, headers?: table }
---@return table<string, integer> counts
function Case:distribution(on, n, shares, options)
  claim(self)
  options = check_options("t:distribution", options, { within = "number", body = "table", headers = "table" })
  local counts = {}
  for i = 1, n do
    local got = on:chat(options.body, { headers = options.headers })
    if not got.provider then fail(self, "request %d of %d was answered by no provider: status %s", i, n, got.status) end
    counts[got.provider] = (counts[got.provider] or 0) + 1
  end
  for id, share in pairs(shares) do
    local within = options.within or 4 * math.sqrt(share * (1 - share) / n)
    local is = (counts[id] or 0) / n
    if math.abs(is - share) > within then
      fail(self, "provider %s answered %d of %d requests, %.1f %%, expected %.1f %% ± %.1f", id, counts[id] or 0, n,
        100 * is, 100 * share, 100 * within)
    end
  end
  return counts
end

--- A policy is to fail in this test; its message matches the pattern when one is given.
function Case:expect_policy_error(pattern)
  claim(self)
  self.expected = pattern or ""
end

-- ---- The end ----

local function policy_errors(log)
  local list = {}
  for _, line in ipairs(log) do
    if line.msg == "policy failed" then
      list[#list + 1] = ("the policy failed in `%s`: %s"):format(line.hook, line.detail)
    end
  end
  return list
end

--- Close the routers, keep what they logged, and judge.
---@return { message: string, line: integer? }? failure a claim that did not hold, what the policies did wrong, or that
---   nothing was claimed
function Case:finish()
  local policies = self:close()
  if self.failed then return { message = self.failed.message, line = self.failed.line } end
  if policies then return { message = policies } end
  if self.claims == 0 then return { message = NO_CLAIM } end
end

---@return string? sentence what the policies did wrong
function Case:close()
  for _, each in ipairs(self.routers) do
    for _, line in ipairs(each.journal) do self.journal[#self.journal + 1] = line end
    for _, line in ipairs(each:close()) do self.log[#self.log + 1] = line end
  end
  local errors = policy_errors(self.log)
  if not self.expected then return errors[1] end
  for _, text in ipairs(errors) do
    if text:find(self.expected) then return nil end
  end
  if #errors == 0 then return "expected a policy error, and there was none" end
  return ("expected a policy error that matches %s, got %s"):format(values.spell(self.expected), errors[1])
end

return case
