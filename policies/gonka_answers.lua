--- gonka_answers: answers of the Gonka network as clients expect them.
-- Takes out what the network adds for itself (logprobs, token ids, events of its own, usage nobody asked for), gives
-- reasoning that a model writes into its content a field of its own, to clients that ask for it, and asks once more,
-- differently, when a model thought until its tokens were gone and said nothing.
local peri = require "perilune"
local answers = require "perilune.answers"
local burn = require "perilune.burn"
local models = require "perilune.rules.models"

local policy = {
  name = "gonka_answers",
  options = {
    networks = { default = { "gonka" }, doc = "networks whose providers are meant; empty: all providers" },
    think = { default = "asked", doc = "<think> becomes reasoning_content: \"always\", \"never\", or \"asked\" with "
      .. "the header x-perilune-reasoning: split" },
    usage = { default = true, doc = "have streams tell usage, so that the log has it; clients see it who asked" },
    retry_empty = { default = true, doc = "ask a thinking model once more when it spent its tokens on nothing" },
    retry_tokens = { default = 4096, doc = "output tokens of that second try, when the client names no limit" },
  },
}

-- By request, while it is under way.
local memories = {}

local networks, ways = nil, { always = true, never = true, asked = true }

function policy.check(config)
  local think = config.options.think
  if not ways[think] then
    return nil, ("option 'think' must be \"always\", \"never\" or \"asked\", got %q"):format(tostring(think))
  end
  return true
end

local function is_meant(provider)
  if not networks then
    networks = {}
    for _, name in ipairs(policy.options.networks) do networks[name] = true end
  end
  return not next(networks) or networks[provider.network]
end

local function wants_split(req, family)
  local think = policy.options.think
  if not family.inline_think or think == "never" then return false end
  return think == "always" or req:header "x-perilune-reasoning" == "split"
end

--- The client's own request says what it wants to see; the attempt's body may ask for more.
local function read_wishes(req, family)
  local body = req.body
  local stream_options = body.stream_options
  return {
    logprobs = body.logprobs == true,
    token_ids = body.return_token_ids == true,
    usage = peri.json.kind(stream_options) == "object" and stream_options.include_usage == true,
    split = wants_split(req, family),
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
  if not is_meant(attempt.provider) then return end
  local family = models.of(attempt.model)
  local wishes = read_wishes(req, family)
  wishes.is_burnt = attempt.previous == "EEMPTY" or before and before.is_burnt
  memories[req.id] = wishes
  mind_empty(req, attempt, wishes, family)
  if req.stream and policy.options.usage and not wishes.usage then answers.ask_usage(attempt.body) end
  if wishes.split and type(attempt.body.messages) == "userdata" then answers.join_think(attempt.body.messages) end
end

function policy.event(req, event)
  local wishes = memories[req.id]
  if not wishes then return end
  local data = event.data
  if answers.internal_events[event.name] then return event:drop() end
  local may_be_usage = not wishes.usage and data:find('"usage"', 1, true)
  local must_strip = answers.may_hold_internal(data)
  if not (wishes.split or must_strip or may_be_usage) then return end
  local body = event.json
  if not body then return end
  if may_be_usage and answers.strip_usage(body) then return event:drop() end
  if must_strip then answers.strip(body, wishes) end
  if wishes.split then answers.split_think(body, wishes.splitters) end
end

function policy.answer(req, answer)
  local wishes = memories[req.id]
  if not wishes then return end
  answers.strip(answer.body, wishes)
  if wishes.split then answers.split_think(answer.body, wishes.splitters) end
end

function policy.done(req)
  memories[req.id] = nil
end

return policy
