local testing = require "perilune.testing"

local function chain(answers) return {
  { id = "first", tier = 1, answers = answers },
  { id = "second", tier = 2, answers = { testing.stream { "from ", "the ", "second" } } },
} end

testing.test("fallback: the next provider answers, and the client sees nothing of it", function(t)
  local failures = { testing.status(500), testing.refuse(), testing.cut(), testing.stream { testing.cut() },
    testing.stream { testing.error_frame "overloaded" }, testing.status(200, { body = "no JSON" }) }
  for _, failure in ipairs(failures) do
    local router = t:router { policies = { "fallback.lua" }, providers = chain { failure } }
    local got = router:chat { stream = true }
    t:equal(got.status, 200, failure.says)
    t:equal(got.text, "from the second", failure.says)
    t:equal(got.tried, { "first", "second" }, failure.says)
    t:ok(got.complete, failure.says)
  end
end)

testing.test("fallback: a stream that has begun is never told twice", function(t)
  local router = t:router { policies = { "fallback.lua" },
    providers = chain { testing.stream { "half of ", testing.cut() } } }
  local got = router:chat { stream = true }
  t:equal(got.text, "half of ")
  t:equal(got.tried, { "first" })
  t:ok(not got.complete, "the client sees that it is not complete")
  t:ok(got.error, "the client is told an error")
end)

testing.test("fallback: the order is that of the option", function(t)
  local policy = { file = "fallback.lua", options = { order = { "second", "first" } } }
  local router = t:router { policies = { policy }, providers = chain { testing.chat "from the first" } }
  t:equal(router:chat({ stream = true }).tried, { "second" })
end)

testing.test("fallback: a provider that limits its rate rests as long as it says", function(t)
  local limited = testing.status(429, { headers = { ["retry-after"] = "30" } })
  local router = t:router { policies = { "fallback.lua" },
    providers = chain { limited, testing.chat "from the first" } }
  t:equal(router:chat({ stream = true }).tried, { "first", "second" })
  t:advance(29000)
  t:equal(router:chat({ stream = true }).tried, { "second" })
  t:advance(2000)
  t:equal(router:chat({ stream = true }).text, "from the first")
end)

testing.test("fallback: an order that names nobody does not load", function(t)
  local policy = { file = "fallback.lua", options = { order = { "third" } } }
  t:raises(function() t:router { policies = { policy }, providers = chain { testing.chat "hello" } } end,
    "option 'order' names 'third', which is no provider")
end)
