local testing = require "perilune.testing"

testing.test("weighted: providers share requests by weight", function(t)
  local router = t:router { policies = { "weighted.lua" }, providers = {
    { id = "large", weight = 3 },
    { id = "small", weight = 1 } } }
  t:distribution(router, 400, { large = 0.75, small = 0.25 })
end)

testing.test("weighted: another provider answers when the first choice fails", function(t)
  local router = t:router { policies = { "weighted.lua" }, providers = {
    { id = "down", weight = 1000000, answers = { testing.refuse() } },
    { id = "up", weight = 1 } } }
  local got = router:chat()
  t:equal(got.tried, { "down", "up" })
  t:equal(got.text, "hello from up")
  t:match(got.route, "^weighted@")
end)

testing.test("weighted: a refusal of the request itself is told, not tried elsewhere", function(t)
  local router = t:router { policies = { "weighted.lua" }, providers = {
    { id = "a", answers = { testing.status(400, { body = { error = { message = "messages: too many" } } }) } },
    { id = "b", tier = 2 } } }
  local got = router:chat()
  t:equal(got.status, 400)
  t:equal(got.tried, { "a" })
  t:match(got.error.message, "too many")
end)

testing.test("weighted: a silent provider is given up after first_token_ms", function(t)
  local policy = { file = "weighted.lua", options = { first_token_ms = 2000 } }
  local router = t:router { policies = { policy }, providers = {
    { id = "silent", tier = 1, answers = { testing.stall() } },
    { id = "quick", tier = 2, answers = { testing.stream { "he", 100, "llo" } } } } }
  local got = router:chat { stream = true }
  t:equal(got.tried, { "silent", "quick" })
  t:equal(got.text, "hello")
  t:equal(got.elapsed_ms, 2100)
  t:ok(router.providers.silent.requests[1].left, "the silent provider was left")
end)
