--- repair_params: top-level parameters, made what the gateway takes.
local json = require("perilune").json
local gateway_params = require "perilune.gonka.rules.params"
local kinds = require "perilune.kinds"
local words = require "perilune.gonka.rules.words"

local is_kind = kinds.is

local params = {
  --- Other names for what the network knows.
  alias = { max_output_tokens = "max_tokens", max_new_tokens = "max_tokens", stop_sequences = "stop",
    thinking_budget = "thinking_token_budget" },
  --- Unknown parameters that would change the answer, with the value that asks for nothing. They are not dropped.
  meaningful = { allowed_token_ids = false, enforced_tokens = false, enforced_str = false, ignore_eos = false,
    use_beam_search = false, length_penalty = 1, best_of = 1, echo = false, prompt_logprobs = 0, audio = false,
    truncate_prompt_tokens = false, web_search_options = false, web_search = false, enable_search = false,
    previous_response_id = false, input = false, guided_grammar = false, guided_regex = false, guided_choice = false,
    guided_json = false, mask_sensitive_info = false, functions = false },
}

local null = json.null

--- Members of the envelope move to the top; the gateway would do the same.
params.extra_body = gateway_params.checks.extra_body

local function top_names(c)
  local names = {}
  for name in pairs(c.top) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- A null at the top means "not given", but the gateway refuses it for half of the parameters.
function params.nulls(c)
  local found
  for name, value in pairs(c.top) do
    if value == null and name ~= "messages" then found = name end
  end
  if not found then return end
  for _, name in ipairs(top_names(c)) do
    if c.top[name] == null and name ~= "messages" then
      c:set(name, nil)
      c:note("dropped null " .. name)
    end
  end
end

local function is_text_list(value)
  return is_kind(value, "array") and #value == 1 and value[1] == "text"
end

--- Other spellings, and texts that belong in front of the conversation.
function params.aliases(c)
  for old, new in pairs(params.alias) do
    if c.top[old] ~= nil then
      if c.top[new] == nil then c:set(new, c.top[old]) end
      c:set(old, nil)
      c:note(old .. " became " .. new)
    end
  end
  for _, name in ipairs { "instructions", "system" } do
    local text = c.top[name]
    if type(text) == "string" and not words.is_blank(text) and is_kind(c.top.messages, "array") then
      json.insert(c.top.messages, 1, { role = "system", content = text })
      c:set(name, nil)
      c:note(name .. " became a system message")
    end
  end
end

local function is_meaningful(name, value)
  local neutral = params.meaningful[name]
  if name == "modalities" then return not is_text_list(value) end
  if neutral == nil then return false end
  if is_kind(value, "array") or is_kind(value, "object") then return json.len(value) > 0 or name:find "web" ~= nil end
  return value ~= neutral and value ~= false
end

--- Parameters that the gateway has never heard of and the model would not have noticed.
function params.unknown(c)
  local has_unknown
  for name in pairs(c.top) do
    if not gateway_params.known[name] then has_unknown = true end
  end
  if not has_unknown then return end
  for _, name in ipairs(top_names(c)) do
    if not gateway_params.known[name] and not is_meaningful(name, c.top[name]) then
      c:set(name, nil)
      c:note("dropped " .. (name == "" and "a field without a name" or name))
    end
  end
end

-- ---- Numbers ----

--- The integer that a value means: 1.0, 1e3, "12"; nil when it means none.
local function to_integer(value)
  local number = words.to_float(value)
  if number == nil then return nil end
  return math.tointeger(number) or math.tointeger(number // 1)
end
params.to_integer = to_integer

local least_counts = { seed = 0, n = 0, min_tokens = 0, top_logprobs = 0 }
local least_limits = { max_tokens = 1, max_completion_tokens = 1 }

local function repair_count(c, name, low)
  local value = c.top[name]
  if value == nil or (math.type(value) == "integer" and value >= low) then return end
  local number = to_integer(value)
  if name:find "^max" and number == 0 and c.family.output_floor > 1 then number = c.family.output_floor end
  if number and number >= low then
    c:set(name, number)
    c:note("wrote " .. name .. " as an integer")
  else
    c:set(name, nil)
    c:note(("dropped %s: no integer from %d on"):format(name, low))
  end
end

local function repair_positive(c, name, instead)
  local value = c.top[name]
  local number = value ~= nil and words.to_float(value)
  if number and number <= 0 then
    c:set(name, instead)
    c:note(instead and ("set %s to %s"):format(name, instead) or "dropped " .. name)
  end
end

local function repair_counts(least)
  return function(c)
    for name, low in pairs(least) do
      if c.top[name] ~= nil then repair_count(c, name, low) end
    end
  end
end
params.counts = repair_counts(least_counts)
params.limits = repair_counts(least_limits)

function params.knobs(c)
  local top = c.top
  -- top_p 0 asks for the likeliest token; the least the engine takes does the same.
  if top.top_p ~= nil then repair_positive(c, "top_p", 0.001) end
  if top.repetition_penalty ~= nil then repair_positive(c, "repetition_penalty", nil) end
  local top_k = top.top_k
  if top_k ~= nil and (math.type(top_k) ~= "integer" or (top_k < 1 and top_k ~= -1)) then
    local whole = to_integer(top_k)
    if whole and whole < 1 then whole = -1 end
    c:set("top_k", whole)
    c:note(whole and "wrote top_k as -1 or a positive integer" or "dropped top_k")
  end
end

local truths = { ["true"] = true, ["false"] = false, ["1"] = true, ["0"] = false, yes = true, no = false,
  on = true, off = false }

--- The boolean that a value means; nil when it means none.
function params.to_boolean(value)
  if type(value) == "boolean" then return value end
  if type(value) == "number" then value = ("%.14g"):format(value) end
  if type(value) == "string" then return truths[value:lower()] end
end

local booleans = { "stream", "parallel_tool_calls", "skip_special_tokens", "detokenize", "enable_thinking", "logprobs" }

function params.booleans(c)
  for _, name in ipairs(booleans) do
    local value = c.top[name]
    if value ~= nil and type(value) ~= "boolean" then
      local truth
      if type(value) ~= "userdata" then truth = params.to_boolean(value) end
      if truth ~= nil then
        c:set(name, truth)
        c:note("wrote " .. name .. " as a boolean")
      elseif name ~= "stream" then
        c:set(name, nil)
        c:note("dropped " .. name .. ": no boolean")
      end
    end
  end
end

-- ---- Lists ----

local function as_text(value)
  if type(value) ~= "userdata" and value ~= nil then return words.text_of(value) end
end

--- Each element through `to`; those that give nil go.
local function repair_list(c, name, to)
  local list = c.top[name]
  for i = #list, 1, -1 do
    local value = list[i]
    local kept = to(value)
    if kept == nil then
      json.remove(list, i)
      c:note("dropped an entry of " .. name)
    elseif kept ~= value or math.type(kept) ~= math.type(value) then
      list[i] = kept
      c:note("rewrote an entry of " .. name)
    end
  end
end

local function as_list(c, name, to)
  local value = c.top[name]
  if is_kind(value, "array") then return repair_list(c, name, to) end
  local only = to(value)
  c:set(name, only ~= nil and json.array { only } or nil)
  c:note(only ~= nil and ("made %s a list"):format(name) or "dropped " .. name)
end

--- Texts that do not begin with another one, and once each. In order of bytes a text stands in front of all that
--- begin with it.
local function unimplied(texts)
  local stays, last = {}, nil
  table.sort(texts)
  for _, text in ipairs(texts) do
    if not last or text:sub(1, #last) ~= last then
      last = text
      stays[text] = true
    end
  end
  return stays
end

--- Of too many texts, or too long ones, those that begin with another one never end an answer: the other does before.
local function drop_implied_stops(c, list)
  local is_too_much, texts, first = #list > 16, {}, {}
  for i, text in ipairs(list) do
    is_too_much = is_too_much or #text > 256
    if text ~= "" then texts[#texts + 1] = text end
    first[text] = first[text] or i
  end
  if not is_too_much then return end
  local stays = unimplied(texts)
  for i = #list, 1, -1 do
    local text = list[i]
    if text ~= "" and (not stays[text] or first[text] ~= i) then
      json.remove(list, i)
      c:note "dropped texts of stop that others imply"
    end
  end
end

function params.stop(c)
  if type(c.top.stop) ~= "string" then as_list(c, "stop", as_text) end
  if is_kind(c.top.stop, "array") then drop_implied_stops(c, c.top.stop) end
end

--- A text alone passes whatever its length; in a list it would be too long.
function params.bad_words(c)
  local value = c.top.bad_words
  if type(value) == "string" and #value > 128 then return end
  as_list(c, "bad_words", as_text)
end

function params.stop_token_ids(c)
  as_list(c, "stop_token_ids", function(value)
    local id = to_integer(value)
    return id and id >= 0 and id or nil
  end)
end

function params.logit_bias(c)
  local value = c.top.logit_bias
  if not is_kind(value, "object") then
    c:set("logit_bias", nil)
    return c:note "dropped logit_bias"
  end
  local changes = {}
  for token, bias in pairs(value) do
    local number = words.to_float(bias)
    if not token:find "^%d+$" or not number then
      changes[token] = false
    elseif type(bias) ~= "number" then
      changes[token] = number
    end
  end
  for token, number in pairs(changes) do
    value[token] = number or nil
    c:note "rewrote an entry of logit_bias"
  end
end

-- ---- Labels, which no model sees ----

local function cut(text, most)
  if #text <= most then return text end
  local stop = utf8.len(text) and utf8.offset(text, 0, most + 1) or most + 1
  return text:sub(1, stop - 1)
end

function params.label(name)
  return function(c)
    local value = c.top[name]
    local text = as_text(value)
    if text and #text > 512 then text = cut(text, 512) end
    if text ~= value then
      c:set(name, text)
      c:note(text and "shortened " .. name or "dropped " .. name)
    end
  end
end

function params.metadata(c)
  local value = c.top.metadata
  if not is_kind(value, "object") then
    c:set("metadata", nil)
    return c:note "dropped metadata"
  end
  local changes, count = {}, 0
  for key, entry in pairs(value) do
    local text = as_text(entry) or (type(entry) == "userdata" and entry ~= null and json.text(entry)) or nil
    count = count + 1
    if count > 16 or #key > 64 then text = nil end
    if text then text = cut(text, 512) end
    if text ~= entry then changes[key] = text or false end
  end
  for key, text in pairs(changes) do
    value[key] = text or nil
    c:note "rewrote an entry of metadata"
  end
end

function params.stream_options(c)
  if not is_kind(c.top.stream_options, "object") then
    c:set("stream_options", nil)
    c:note "dropped stream_options"
  end
end

return params
