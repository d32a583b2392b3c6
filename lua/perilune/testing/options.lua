--- options: tables of options that a test gives; a name that nobody knows would change nothing, unnoticed.

--- Edits that make one word the other, at most `most` + 1.
local function distance(a, b, most)
  local before = {}
  for j = 0, #b do before[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + cost)
    end
    before = row
  end
  return math.min(before[#b], most + 1)
end

local function nearest(name, known)
  local best, found = 4, nil
  for other in pairs(known) do
    local d = distance(name, other, 3)
    if d < best and d < #other or d == best and found and other < found then best, found = d, other end
  end
  return found
end

--- Give the options back, or raise a sentence at the caller's caller.
---@param what string the function, as tests spell it: "testing.chat"
---@param options any nil for none
---@param known table<string, string> the type of each
return function(what, options, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("%s takes a table of options, got a %s"):format(what, type(options)), 3)
  end
  for name, value in pairs(options) do
    local kind = known[name]
    if not kind then
      local hint = type(name) == "string" and nearest(name, known)
      local ending = hint and (", did you mean '%s'?"):format(hint) or ""
      error(("%s has no option '%s'%s"):format(what, tostring(name), ending), 3)
    end
    local is_duration = kind == "milliseconds" and type(value) == "number" and value >= 0 and value < math.huge
    if kind ~= "any" and not is_duration and type(value) ~= kind then
      error(("%s: '%s' must be a %s, got %s"):format(what, name,
        kind == "milliseconds" and "number of milliseconds" or kind,
        type(value) == "number" and tostring(value) or "a " .. type(value)), 3)
    end
  end
  return options
end
