local testing = require "perilune.testing"

local function rules(profile) return { file = "gonka_rules.lua", options = { networks = {}, profile = profile } } end

-- The network refuses this value of top_k.
local wrong = { top_k = -5, max_tokens = 100000 }

testing.test("gonka_rules: what can be repaired is repaired, and the client is told", function(t)
  local router = t:router { policies = { rules "repair" }, providers = { { id = "host" } } }
  local got = router:chat(wrong)
  t:equal(got.status, 200)
  t:match(got.headers["x-perilune-edits"], "top_k", "x-perilune-edits")
  local sent = router.providers.host.requests[1].json
  t:equal({ sent.top_k, sent.max_tokens }, { -1, 4096 })
end)

testing.test("gonka_rules: a request that is right goes on without a word", function(t)
  local router = t:router { policies = { rules "repair" }, providers = { { id = "host" } } }
  local got = router:chat { max_tokens = 16 }
  t:equal(got.headers["x-perilune-edits"], nil)
end)

testing.test("gonka_rules: profile emulate refuses with the network's sentence, and asks nobody", function(t)
  local router = t:router { policies = { rules "emulate" }, providers = { { id = "host" } } }
  local got = router:chat(wrong)
  t:equal(got.status, 400)
  t:equal(got.tried, {})
  t:match(got.error.message, "^top_k: must be %-1 or a positive integer")
  t:equal(got.error.param, "top_k")
end)
