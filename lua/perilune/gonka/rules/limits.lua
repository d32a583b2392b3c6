--- limits: how long the answer may become. Default, cap, the floor, and the smaller of the two fields.
local json = require("perilune").json
local words = require "perilune.gonka.rules.words"

local limits = { default_tokens = 3072, cap_tokens = 4096 }

local names = { "max_tokens", "max_completion_tokens" }

--- What is refused at once: numbers of 0 and below, also those in a text; save for a model that has a floor of its own,
--- which lifts 0 too. Newer gateways lift every model's limit.
function limits.check(c)
  local least, top = c.family.output_floor, c.top
  local lifted = math.max(least, c.release.output_floor)
  for i = 1, 2 do
    local name = names[i]
    local value = top[name]
    if value ~= nil and (math.type(value) ~= "integer" or value < lifted) then
      if least == 1 then
        local number = words.parse_number(value)
        if number and (number <= 0 or number ~= number) then return name .. ": must be greater than 0", name end
      end
      if words.is_uint(value) then c:change(name, lifted) end
    end
  end
end

--- The limit that one field asks for: nil when it is not there. A null asks for the default.
local function wanted(c, name, own)
  local value = c.top[name]
  if value == nil then return nil end
  if value == json.null then
    return c:has "default_tokens" and (own.default_tokens or limits.default_tokens) or nil
  end
  return c.is_admin and value or math.min(value, own.cap_tokens or limits.cap_tokens)
end

local function put(c, name, value)
  if c.top[name] ~= value then c:change(name, value) end
end

--- Set max_tokens, and max_completion_tokens when it was sent. The default is not capped.
function limits.apply(c)
  local own, top = c.limits or limits, c.top
  local tokens, completion = wanted(c, "max_tokens", own), wanted(c, "max_completion_tokens", own)
  local most = tokens or completion
  if tokens and completion then
    most = math.min(tokens, completion)
  elseif not most and top.max_tokens == nil and top.max_completion_tokens == nil and c:has "default_tokens" then
    most = own.default_tokens or limits.default_tokens
  end
  if most == nil then return end
  put(c, "max_tokens", most)
  if top.max_completion_tokens ~= nil then put(c, "max_completion_tokens", most) end
end

return limits
