--- params: top-level parameters that are scalars or short lists: which the gateway knows, and what it makes of them.
-- Two kinds of rule: `checks` run before the messages are looked at, `clamps` after the output limits are known. Every
-- rule is given the context and returns nil, or a sentence and the field it is about.
local json = require("perilune").json
local kinds = require "perilune.kinds"
local words = require "perilune.gonka.rules.words"

local is_array = kinds.is_array

local params = { checks = {}, clamps = {} }

params.known = {}
for name in ([[messages model stream n seed temperature top_p top_k min_p frequency_penalty presence_penalty
  repetition_penalty logit_bias stop stop_token_ids bad_words min_tokens max_tokens max_completion_tokens logprobs
  top_logprobs return_token_ids tools tool_choice parallel_tool_calls response_format structured_outputs
  stream_options chat_template_kwargs enable_thinking thinking thinking_config think thinking_token_budget reasoning
  reasoning_effort reasoning_split user metadata safety_identifier skip_special_tokens detokenize service_tier store
  provider plugins prompt_cache_key cache_key extra_headers extra_body]]):gmatch "[%w_]+" do
  params.known[name] = true
end

--- Accepted and taken away, whatever they hold.
params.ignored = { "service_tier", "store", "provider", "plugins", "prompt_cache_key", "cache_key", "extra_headers",
  "thinking_config", "think" }

--- Groups of parameters that one rule looks at.
params.groups = {
  reasoning = "effort", reasoning_effort = "effort", max_tokens = "limit", max_completion_tokens = "limit",
  seed = "count", n = "count", min_tokens = "count", top_logprobs = "count",
  top_p = "knob", repetition_penalty = "knob", top_k = "knob",
  stream = "boolean", parallel_tool_calls = "boolean", skip_special_tokens = "boolean", detokenize = "boolean",
  enable_thinking = "boolean", logprobs = "boolean",
  response_format = "format", structured_outputs = "format",
}
for _, name in ipairs(params.ignored) do params.groups[name] = "ignored" end

params.unknown_text = 'Chat completions parameter %s is currently rejected by the Gonka network. Some non-standard '
  .. "parameters can crash the vLLM engine on Gonka Host MLNodes, so the network rejects parameters that are not "
  .. "explicitly supported (see: https://github.com/gonka-ai/gonka/blob/main/docs/chat-api/README.md). If you do not "
  .. "need this parameter, remove it from the request; if you need it, file a request at "
  .. "https://github.com/gonka-ai/gonka/issues"

local checks, clamps = params.checks, params.clamps

--- `extra_body`: its members move to the top, where those already there win.
function checks.extra_body(c)
  local extra = c.top.extra_body
  if extra == nil then return end
  if json.kind(extra) == "object" then
    for name, value in pairs(extra) do
      if name ~= "extra_body" and c.top[name] == nil then c:set(name, value) end
    end
  end
  c:set("extra_body", nil)
  c:note "unwrapped extra_body"
end

--- Parameters that are not in the list. Of several, the first by name: the gateway names one at random.
function checks.unknown(c)
  local first
  for name in pairs(c.top) do
    if name == "" then return "request body contains a field with an empty name", "$body" end
    if not params.known[name] and (not first or name < first) then first = name end
  end
  if first then return params.unknown_text:format(words.quote(first)), first end
end

local function uint_or_null(name)
  return function(c)
    local value = c.top[name]
    if value ~= nil and value ~= json.null and not words.is_uint(value) then
      return name .. ": must be a non-negative integer", name
    end
  end
end
checks.seed = uint_or_null "seed"
checks.min_tokens = uint_or_null "min_tokens"

--- The first entry that is not what it must be.
local function entry_fault(name, list, is_good, must)
  for i = 1, #list do
    if not is_good(list[i]) then
      local field = ("%s[%d]"):format(name, i - 1)
      return field .. ": " .. must, field
    end
  end
end

local function count_fault(name, list, limit)
  if #list > limit then return ("%s: array length %d exceeds limit %d"):format(name, #list, limit), name end
end

local function length_fault(name, list, limit)
  for i = 1, #list do
    local bytes = #list[i]
    if bytes > limit then
      local field = ("%s[%d]"):format(name, i - 1)
      return ("%s: string length %d exceeds limit %d"):format(field, bytes, limit), field
    end
  end
end

local function is_text(value)
  return type(value) == "string"
end

-- Lists. Anything that is no list passes, and of several faults the gateway has its own order for each.

function checks.stop(c)
  local list = c.top.stop
  if not is_array(list) then return end
  local message, field = entry_fault("stop", list, is_text, "must be a string")
  if not message then message, field = count_fault("stop", list, 16) end
  if not message then message, field = length_fault("stop", list, 256) end
  return message, field
end

function checks.stop_token_ids(c)
  local list = c.top.stop_token_ids
  if c.release.drops_stop_token_ids then return c:change("stop_token_ids", nil) end
  if not is_array(list) then return end
  local message, field = count_fault("stop_token_ids", list, 64)
  if not message then
    message, field = entry_fault("stop_token_ids", list, words.is_uint, "must be an integer token id")
  end
  return message, field
end

function checks.bad_words(c)
  local list = c.top.bad_words
  if not is_array(list) then return end
  local message, field = entry_fault("bad_words", list, is_text, "must be a string")
  if message then return message, field end
  for i = #list, 1, -1 do
    if words.is_blank(list[i]) then
      json.remove(list, i)
      c:note "dropped a blank entry of bad_words"
    end
  end
  if #list == 0 then return c:change("bad_words", nil) end
  message, field = count_fault("bad_words", list, 64)
  if not message then message, field = length_fault("bad_words", list, 128) end
  return message, field
end

local function short_text(name)
  return function(c)
    local value = c.top[name]
    if value == nil then return end
    if type(value) ~= "string" then return name .. ": invalid wrapper shape: must be a string", name end
    if #value > 512 then return ("%s: length exceeded: %d > 512"):format(name, #value), name end
  end
end
checks.user = short_text "user"

local check_safety_identifier = short_text "safety_identifier"

function checks.safety_identifier(c)
  if c.top.safety_identifier == nil then return end
  if c.family.keeps.safety_identifier then return check_safety_identifier(c) end
  c:change("safety_identifier", nil)
end

function checks.reasoning_split(c)
  if c.top.reasoning_split ~= nil and not c.family.keeps.reasoning_split then c:change("reasoning_split", nil) end
end

function checks.metadata(c)
  local value = c.top.metadata
  if value == nil then return end
  if json.kind(value) ~= "object" then return "metadata: invalid wrapper shape: must be an object", "metadata" end
  if json.len(value) > 16 then return ("metadata: key count exceeded: %d > 16"):format(json.len(value)), "metadata" end
  for key, text in pairs(value) do
    if #key > 64 then return ("metadata: key invalid: key length %d > 64"):format(#key), "metadata" end
    local name = words.quote(key)
    if type(text) ~= "string" then
      return ("metadata: value invalid: value for %s must be a string"):format(name), "metadata"
    end
    if #text > 512 then
      return ("metadata: value invalid: value for %s length %d > 512"):format(name, #text), "metadata"
    end
  end
end

--- Only with stream:true, and only include_usage.
function checks.stream_options(c)
  local value = c.top.stream_options
  if value == nil then return end
  if c.top.stream ~= true then return c:change("stream_options", nil) end
  if json.kind(value) ~= "object" then
    return "stream_options: invalid wrapper shape: must be an object", "stream_options"
  end
  local others = {}
  for name in pairs(value) do
    if name ~= "include_usage" then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do
    value[name] = nil
    c:note("dropped stream_options." .. name)
  end
  if json.len(value) == 0 then c:change("stream_options", nil) end
end

local function boolean_or_null(name)
  return function(c)
    local value = c.top[name]
    if value ~= nil and value ~= json.null and type(value) ~= "boolean" then
      return name .. ": must be a boolean", name
    end
  end
end
checks.skip_special_tokens = boolean_or_null "skip_special_tokens"
checks.detokenize = boolean_or_null "detokenize"
checks.parallel_tool_calls = boolean_or_null "parallel_tool_calls"

function checks.ignored(c)
  for _, name in ipairs(params.ignored) do
    if c.top[name] ~= nil then c:change(name, nil) end
  end
end

local decoded_counts = { "max_tokens", "max_completion_tokens", "n" }

--- What the gateway decodes into typed fields, after the messages.
function params.decode(c)
  local top = c.top
  local model, stream = top.model, top.stream
  if model ~= nil and type(model) ~= "string" and model ~= json.null then
    return "parse request: model must be a string", "model"
  end
  if stream ~= nil and type(stream) ~= "boolean" and stream ~= json.null then
    return "parse request: stream must be a boolean", "stream"
  end
  for i = 1, #decoded_counts do
    local name = decoded_counts[i]
    local value = top[name]
    if value ~= nil and value ~= json.null and not words.is_uint(value) then
      return ("parse request: %s must be a non-negative integer"):format(name), name
    end
  end
end

-- ---- After the limits ----

function clamps.n(c)
  local n = c.top.n
  if c.release.single_choice then
    if n ~= 1 then c:change("n", 1) end
    return
  end
  if n == json.null then return end
  local most = words.to_float(c.top.temperature) == 0 and 1 or 5
  local kept = math.max(1, math.min(n, most))
  if kept ~= n then c:change("n", kept) end
end

--- The gateway keeps knobs as doubles and writes them anew: 40.0 becomes 40, and a huge integer loses digits.
local function put_number(c, name, number)
  local value = c.top[name]
  local kept = math.tointeger(number + 0.0) or number
  local is_changed = type(value) == "string" or kept ~= value
  if is_changed or (math.type(kept) ~= math.type(value) and c:has "number_text") then c:change(name, kept) end
end

--- A knob in [low, high]. Text that is a number becomes one; what is no number goes.
local function knob(name, low, high)
  return function(c)
    local value = c.top[name]
    if value == nil then return end
    if math.type(value) == "float" and value > low and value < high and value % 1 ~= 0 then return end -- the usual one
    local number = words.to_float(value)
    if number == nil then return c:change(name, nil) end
    put_number(c, name, math.max(low, math.min(number, high)))
  end
end
clamps.temperature = knob("temperature", 0, 2)
clamps.min_p = knob("min_p", 0, 1)

local function penalty(name)
  local clamp = knob(name, -2, 2)
  return function(c)
    clamp(c)
    if c.family.zero_penalties and c.top[name] ~= nil and c.top[name] ~= 0 then c:change(name, 0) end
  end
end
clamps.frequency_penalty = penalty "frequency_penalty"
clamps.presence_penalty = penalty "presence_penalty"

--- A knob that must be above 0.
local function positive(name, high)
  local clamp = knob(name, -math.huge, high)
  return function(c)
    clamp(c)
    local value = c.top[name]
    if value ~= nil and value <= 0 then return name .. ": must be greater than 0", name end
  end
end
clamps.top_p = positive("top_p", 1)
clamps.repetition_penalty = positive("repetition_penalty", 2)

function clamps.top_k(c)
  local value = c.top.top_k
  if value == nil then return end
  local number = words.to_float(value)
  if not number then return c:change("top_k", nil) end
  if number ~= -1 and number < 1 then return "top_k: must be -1 or a positive integer", "top_k" end
  put_number(c, "top_k", number)
end

function clamps.logit_bias(c)
  local value = c.top.logit_bias
  if value == nil or json.kind(value) ~= "object" then return end
  local count = json.len(value)
  if count > 1024 then return ("logit_bias: map size %d exceeds limit 1024"):format(count), "logit_bias" end
  local beyond = {}
  for token, bias in pairs(value) do
    local number = words.parse_number(bias)
    if number and not (number >= -100 and number <= 100) then beyond[#beyond + 1] = token end
  end
  for _, token in ipairs(beyond) do
    value[token] = nil
    c:note "dropped an entry of logit_bias: out of range"
  end
  if json.len(value) == 0 then c:change("logit_bias", nil) end
end

local function lower_to_limit(c, value)
  local most = c.top.max_tokens
  if math.type(value) == "integer" and math.type(most) == "integer" and value > most then value = most end
  if value ~= c.top.min_tokens then c:change("min_tokens", value) end
end

--- Lowered to max_tokens, and away when stop_token_ids stands beside it.
function clamps.min_tokens(c)
  if c.top.stop_token_ids ~= nil then return c:change("min_tokens", nil) end
  lower_to_limit(c, c.top.min_tokens)
end

--- Newer gateways always send one, of no less than the least limit of the output.
function clamps.least_tokens(c)
  local value, least = c.top.min_tokens, c.release.output_floor
  lower_to_limit(c, words.is_uint(value) and math.max(value, least) or least)
end

--- Logprobs and token ids, which the network's own checks need.
function clamps.forced(c)
  if c.top.logprobs ~= true then c:change("logprobs", true) end
  if c.top.top_logprobs ~= 5 then c:change("top_logprobs", 5) end
  if c.top.return_token_ids ~= true then c:change("return_token_ids", true) end
end

return params
