--- gonka_answers: answers of the Gonka network as clients expect them.
-- Takes out what the network adds for itself (logprobs, token ids, events of its own, usage nobody asked for), gives
-- reasoning that a model writes into its content a field of its own, to clients that ask for it, and asks once more,
-- differently, when a model thought until its tokens were gone and said nothing.
local peri = require "perilune"
local answers = require "perilune.gonka.answers"
local burn = require "perilune.gonka.burn"
local models = require "perilune.gonka.rules.models"

local policy = {
  name = "gonka_answers",
  options = {
    networks = { default = { "gonka" }, doc = "networks whose providers are meant; empty: all providers" },
    think = { default = "asked", doc = "<think> becomes reasoning_content: \"always\", \"never\", or \"asked\" with "
      .. "the header x-perilune-reasoning: split, or the field's name" },
    reasoning = { default = "", doc = "name of the field: \"reasoning\" or \"reasoning_content\"; empty: the "
      .. "provider's own; a client may name it in x-perilune-reasoning" },
    usage = { default = true, doc = "have streams tell usage, so that the log has it; clients see it who asked" },
    retry_empty = { default = true, doc = "ask a thinking model once more when it spent its tokens on nothing" },
    retry_tokens = { default = 4096, doc = "output tokens of that second try, when the client names no limit" },
  },
}

-- By request, while it is under way.
local memories = {}

local ways = { always = true, never = true, asked = true }
local names = { reasoning = true, reasoning_content = true }

function policy.check(config)
  local think = config.options.think
  if not ways[think] then
    return nil, ("option 'think' must be \"always\", \"never\" or \"asked\", got %q"):format(tostring(think))
  end
  local name = config.options.reasoning
  if name ~= "" and not names[name] then
    return nil, ("option 'reasoning' must be \"reasoning\" or \"reasoning_content\", got %q"):format(tostring(name))
  end
  policy.networks = config.options.networks
  return true
end

local function wants_split(asked, family)
  local think = policy.options.think
  if not family.inline_think or think == "never" then return false end
  return think == "always" or asked == "split" or names[asked] == true
end

local function wanted_name(asked)
  if names[asked] then return asked end
  local name = policy.options.reasoning
  return name ~= "" and name or nil
end

--- The client's own request says what it wants to see; the attempt's body may ask for more.
local function read_wishes(req, family)
  local body = req.body
  local stream_options, asked = body.stream_options, req:header "x-perilune-reasoning"
  return {
    logprobs = body.logprobs == true,
    token_ids = body.return_token_ids == true,
    usage = peri.json.kind(stream_options) == "object" and stream_options.include_usage == true,
    split = wants_split(asked, family),
    name = wanted_name(asked),
    splitters = {},
  }
end

--- The first try fails when it says nothing; the one after it is served whatever it says.
local function mind_empty(req, attempt, wishes, family)
  if not policy.options.retry_empty or not burn.may(family) then return end
  if not wishes.is_burnt then return attempt:expect_content() end
  burn.ask_again(attempt.body, family, {
    seed = math.floor(peri.rand() * 2 ^ 31),
    tokens = not burn.is_limited(req.body) and (attempt.max_output_tokens or policy.options.retry_tokens) or nil,
  })
end

function policy.attempt(req, attempt)
  local before = memories[req.id]
  memories[req.id] = nil
  local family = models.of(attempt.model)
  local wishes = read_wishes(req, family)
  wishes.is_burnt = attempt.previous == "EEMPTY" or before and before.is_burnt
  memories[req.id] = wishes
  mind_empty(req, attempt, wishes, family)
  if req.stream and policy.options.usage and not wishes.usage then answers.ask_usage(attempt.body) end
  local messages = (wishes.split or wishes.name) and attempt.body.messages
  if peri.json.kind(messages) ~= "array" then return end
  if wishes.name == "reasoning" then answers.unspell_reasoning(messages) end
  if wishes.split then answers.join_think(messages) end
end

function policy.event(req, event)
  local wishes = memories[req.id]
  if not wishes then return end
  local data = event.data
  if answers.internal_events[event.name] then return event:drop() end
  local may_be_usage = not wishes.usage and data:find('"usage"', 1, true)
  local must_strip = answers.may_hold_internal(data)
  local must_spell = wishes.name and data:find('"reasoning', 1, true)
  if not (wishes.split or must_spell or must_strip or may_be_usage) then return end
  local body = event.json
  if not body then return end
  if may_be_usage and answers.strip_usage(body) then return event:drop() end
  if must_strip then answers.strip(body, wishes) end
  if wishes.split then answers.split_think(body, wishes.splitters) end
  if wishes.name then answers.spell_reasoning(body, wishes.name) end
end

function policy.answer(req, answer)
  local wishes = memories[req.id]
  if not wishes then return end
  answers.strip(answer.body, wishes)
  if wishes.split then answers.split_think(answer.body, wishes.splitters) end
  if wishes.name then answers.spell_reasoning(answer.body, wishes.name) end
end

function policy.done(req)
  memories[req.id] = nil
end

return policy
