--- values: comparing what came with what was expected, and saying both in one line.
local json = require("perilune").json

local values = {}

local LENGTH_MAX, DEPTH_MAX = 400, 6

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    local short = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }
    return short[c] or ("\\x%02x"):format(c:byte())
  end) .. '"'
end

local function spell(value, depth)
  if type(value) == "string" then return quote(value) end
  if value == json.null then return "null" end
  if type(value) ~= "table" then return tostring(value) end
  if depth > DEPTH_MAX then return "{…}" end
  local parts, length = {}, #value
  for _, item in ipairs(value) do parts[#parts + 1] = spell(item, depth + 1) end
  for _, key in ipairs(sorted_keys(value)) do
    if math.type(key) ~= "integer" or key < 1 or key > length then
      local name = type(key) == "string" and key:match "^[%a_][%w_]*$" or "[" .. spell(key, depth + 1) .. "]"
      parts[#parts + 1] = name .. " = " .. spell(value[key], depth + 1)
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

--- A value in one line of Lua, shortened.
function values.spell(value)
  local text = spell(value, 0)
  return #text <= LENGTH_MAX and text or text:sub(1, LENGTH_MAX):gsub("[\x80-\xbf]*$", "") .. "…"
end

--- Where two values differ first: nil when they do not, else the path ("" for the values themselves) and both.
function values.difference(got, want, path)
  path = path or ""
  if got == want then return nil end
  if type(got) ~= "table" or type(want) ~= "table" then return path, got, want end
  local keys = {}
  for key in pairs(got) do keys[key] = true end
  for key in pairs(want) do keys[key] = true end
  for _, key in ipairs(sorted_keys(keys)) do
    local step = type(key) == "string" and "." .. key or "[" .. tostring(key) .. "]"
    local where, a, b = values.difference(got[key], want[key], path .. step)
    if where then return where, a, b end
  end
end

return values
