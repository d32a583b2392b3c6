--- testing: specs for policies, run by `perilune test`.
-- A test gets a real router in a world of its own: its providers say what they are told to, time moves only when the
-- test says so or when everything waits, and no socket is opened to anywhere.
--
--     local testing = require "perilune.testing"
--
--     testing.test("falls back when the first provider fails", function(t)
--       local router = t:router { policies = { "fallback.lua" }, providers = {
--         { id = "a", tier = 1, answers = { testing.status(500) } },
--         { id = "b", tier = 2, answers = { testing.stream { "he", "llo" } } } } }
--       local got = router:chat { stream = true }
--       t:equal(got.text, "hello")
--       t:equal(got.tried, { "a", "b" })
--     end)
local answers = require "perilune.testing.answers"
local gonka = require "perilune.testing.gonka"
local web = require "perilune.testing.web"

local testing = {
  chat = answers.chat,
  stream = answers.stream,
  status = answers.status,
  stall = answers.stall,
  cut = answers.cut,
  refuse = answers.refuse,
  error_frame = answers.error_frame,
  frame = answers.frame,
  gonka = gonka.new,
  http = web.new,
}

local collected -- while a file is loaded

--- One test.
---@param name string says what is so
---@param fn fun(t: perilune.testing.t)
function testing.test(name, fn)
  if not collected then error("testing.test works in a file that `perilune test` runs", 2) end
  if type(name) ~= "string" or type(fn) ~= "function" then
    error("testing.test takes a name and a function", 2)
  end
  collected[#collected + 1] = { name = name, fn = fn, line = debug.getinfo(2, "l").currentline }
end

--- Run a function and give the tests that it names.
---@param load fun()
---@return { name: string, fn: function, line: integer }[]
function testing.collect(load)
  collected = {}
  local ok, err = pcall(load)
  local list = collected
  collected = nil
  if not ok then error(err, 0) end
  return list
end

return testing
