--- burn: how to ask again after an answer that spent its tokens and said nothing.
-- A model that thinks may think until its budget is gone. The second request switches thinking off where the model has
-- a switch that works, gives it more room where the client set no limit, and is never the same text as the first:
-- gateways keep answers by the request's body, the empty one too.
local kinds = require "perilune.kinds"

local is_object = kinds.is_object

local burn = {}

--- Does a model of this family think, so that it may think its budget away?
---@param family table of perilune.gonka.rules.models
---@return boolean
function burn.may(family)
  return family.thinking_budget == true or family.always_thinks == true
end

--- Has the client said how many tokens it wants at most?
---@param body perilune.json.node the client's own
---@return boolean
function burn.is_limited(body)
  return type(body.max_tokens) == "number" or type(body.max_completion_tokens) == "number"
end

local function stop_thinking(body)
  body.thinking_token_budget = 0 -- the one switch that Kimi obeys
  local kwargs = body.chat_template_kwargs
  if is_object(kwargs) then
    kwargs.thinking = false
  else
    body.chat_template_kwargs = { thinking = false }
  end
end

--- Ask so that the next answer says something.
---@param body perilune.json.node edited
---@param family table of perilune.gonka.rules.models
---@param options { seed: integer, tokens?: integer } seed: replaces the client's, which led to nothing; tokens: more
---  room, nil keeps the limit
function burn.ask_again(body, family, options)
  if family.thinking_budget then stop_thinking(body) end
  local limit = body.max_tokens
  if options.tokens and (type(limit) ~= "number" or limit < options.tokens) then body.max_tokens = options.tokens end
  body.seed = options.seed
end

return burn
