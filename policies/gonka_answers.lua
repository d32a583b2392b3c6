--- gonka_answers: answers of the Gonka network as clients expect them.
-- Takes out what the network adds for itself (logprobs, token ids, events of its own, usage nobody asked for), and
-- gives reasoning that a model writes into its content a field of its own, to clients that ask for it.
local peri = require "perilune"
local answers = require "perilune.answers"
local models = require "perilune.rules.models"

local policy = {
  name = "gonka_answers",
  options = {
    networks = { default = { "gonka" }, doc = "networks whose providers are meant; empty: all providers" },
    think = { default = "asked", doc = "<think> becomes reasoning_content: \"always\", \"never\", or \"asked\" with "
      .. "the header x-perilune-reasoning: split" },
    usage = { default = true, doc = "have streams tell usage, so that the log has it; clients see it who asked" },
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
    usage = type(stream_options) == "userdata" and peri.json.kind(stream_options) == "object"
      and stream_options.include_usage == true,
    split = wants_split(req, family),
    splitters = {},
  }
end

function policy.attempt(req, attempt)
  memories[req.id] = nil
  if not is_meant(attempt.provider) then return end
  local wishes = read_wishes(req, models.of(attempt.model))
  memories[req.id] = wishes
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
  if answers.is_burn(answer.body) then
    peri.log.warn("the model spent its tokens and said nothing", { model = req.model, request = req.id })
  end
end

function policy.done(req)
  memories[req.id] = nil
end

return policy
