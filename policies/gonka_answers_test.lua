local testing = require "perilune.testing"

local policy = { file = "gonka_answers.lua", options = { networks = {}, think = "asked" } }
local MODEL = "MiniMaxAI/MiniMax-M2.7"
local SAID = "<think>let me see</think>\n\nforty-two"
local SPLIT = { "let me see", "\n\nforty-two" } -- to the letter: put together again it is the same

local function router_with(t, answer)
  return t:router { policies = { policy }, providers = { { id = "host", models = { MODEL }, answers = { answer } } } }
end

testing.test("gonka_answers: reasoning gets a field of its own, wherever the stream cuts its tags", function(t)
  for at = 1, #SAID - 1 do
    local router = router_with(t, testing.stream { SAID:sub(1, at), SAID:sub(at + 1) })
    local got = router:chat({ model = MODEL, stream = true }, { headers = { ["x-perilune-reasoning"] = "split" } })
    t:equal({ got.reasoning, got.text }, SPLIT, "cut after byte " .. at)
  end
end)

testing.test("gonka_answers: a whole answer is told apart in the same way", function(t)
  local got = router_with(t, testing.chat(SAID)):chat({ model = MODEL },
    { headers = { ["x-perilune-reasoning"] = "split" } })
  t:equal({ got.reasoning, got.text }, SPLIT)
end)

testing.test("gonka_answers: a client that does not ask gets the text as it is", function(t)
  local got = router_with(t, testing.stream { SAID }):chat { model = MODEL, stream = true }
  t:equal({ got.reasoning, got.text }, { nil, SAID })
end)

testing.test("gonka_answers: usage that nobody asked for is left out", function(t)
  local usage = { prompt_tokens = 3, completion_tokens = 1, total_tokens = 4 }
  local answer = testing.stream({ "hello" }, { usage = usage })
  t:equal(router_with(t, answer):chat({ model = MODEL, stream = true }).usage, nil)
  local asked = { model = MODEL, stream = true, stream_options = { include_usage = true } }
  t:equal(router_with(t, answer):chat(asked).usage, usage)
end)
