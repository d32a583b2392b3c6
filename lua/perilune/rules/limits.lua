--- limits: how long the answer may become. Default, cap, the model's floor, and the smaller of the two fields.
local json = require("perilune").json

local limits = { default_tokens = 3072, cap_tokens = 4096 }

--- Values that are refused at once: 0 and below, save where the model's floor lifts a 0.
function limits.check(c)
  for _, name in ipairs { "max_tokens", "max_completion_tokens" } do
    local value = c.top[name]
    if value ~= nil and math.type(value) == "integer" then
      local floor = c.family.output_floor
      if value >= 0 and floor > 1 then
        if value < floor then c:set(name, floor) end
      elseif value <= 0 and floor <= 1 then
        return name .. ": must be greater than 0", name
      end
    end
  end
end

local function given(c, name)
  local value = c.top[name]
  return value ~= nil and value ~= json.null and value or nil
end

local function put(c, name, value)
  if c.top[name] ~= value then c:set(name, value) end
end

--- Set max_tokens, and max_completion_tokens when it was sent.
function limits.apply(c)
  local own = c.limits or limits
  local cap = c.is_admin and math.maxinteger or own.cap_tokens or limits.cap_tokens
  local tokens, completion = given(c, "max_tokens"), given(c, "max_completion_tokens")
  local most = tokens or completion
  if most and completion then most = math.min(most, completion) end
  if most then
    most = math.min(most, cap)
  elseif c:has "default_tokens" then
    most = own.default_tokens or limits.default_tokens
  end
  if most == nil then return end
  put(c, "max_tokens", most)
  if c.top.max_completion_tokens ~= nil then put(c, "max_completion_tokens", most) end
end

return limits
