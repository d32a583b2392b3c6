--- words: how the network's gateway writes values in its sentences, and what it takes for blank.
-- It is written in Go, so quoting, blanks and type names are those of Go.
local json = require("perilune").json

local words = {}

local short = { ["\a"] = "\\a", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\v"] = "\\v", ['"'] = '\\"', ["\\"] = "\\\\" }

-- Characters that Go writes as escapes: white space that is not U+0020, controls, what only directs the text around
-- it, private use. From and to, in order.
local unprintable = { 0x80, 0xa0, 0xad, 0xad, 0x600, 0x605, 0x61c, 0x61c, 0x6dd, 0x6dd, 0x70f, 0x70f, 0x1680, 0x1680,
  0x180e, 0x180e, 0x2000, 0x200f, 0x2028, 0x202f, 0x205f, 0x206f, 0x3000, 0x3000, 0xe000, 0xf8ff, 0xfeff, 0xfeff,
  0xfff0, 0xfffb, 0xfffe, 0xffff, 0xe0000, 0x10ffff }

local function quoted_wide(c)
  local code = utf8.codepoint(c)
  for i = 1, #unprintable, 2 do
    if code < unprintable[i] then return c end
    if code <= unprintable[i + 1] then return (code > 0xffff and "\\U%08x" or "\\u%04x"):format(code) end
  end
end

--- A string in quotes, like Go's %q.
---@param s string
---@return string
function words.quote(s)
  s = s:gsub('[%c"\\]', function(c) return short[c] or ("\\x%02x"):format(c:byte()) end)
  if s:find("[\x80-\xff]") and utf8.len(s) then s = s:gsub("[\xc2-\xf4][\x80-\xbf]+", quoted_wide) end
  return '"' .. s .. '"'
end

-- White space beyond ASCII that Go's strings.TrimSpace takes away, by its bytes.
local wide = {}
for _, code in ipairs { 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000 } do wide[utf8.char(code)] = true end
for code = 0x2000, 0x200a do wide[utf8.char(code)] = true end

--- Where the first character stands that is no white space; nil when there is none.
local function first_visible(s)
  local at = 1
  while true do
    at = s:find("%S", at)
    if not at or s:byte(at) < 0x80 then return at end
    if wide[s:sub(at, at + 1)] then
      at = at + 2
    elseif wide[s:sub(at, at + 2)] then
      at = at + 3
    else
      return at
    end
  end
end

--- Is there nothing but white space?
---@param s string
---@return boolean
function words.is_blank(s)
  return not first_visible(s)
end

--- A string without the white space around it.
---@param s string
---@return string
function words.trim(s)
  local from, to = first_visible(s), #s
  if not from then return "" end
  while true do
    local c = s:byte(to)
    if c >= 0x80 then
      if wide[s:sub(to - 1, to)] then to = to - 2
      elseif wide[s:sub(to - 2, to)] then to = to - 3
      else break end
    elseif s:find("^%s", to) then
      to = to - 1
    else
      break
    end
  end
  return s:sub(from, to)
end

local go_types = { string = "string", number = "json.Number", null = "<nil>", object = "map[string]interface {}",
  array = "[]interface {}", boolean = "bool" }

--- The gateway's name for a value's type: "json.Number", "<nil>", ….
---@param value any
---@return string
function words.go_type(value)
  return go_types[json.kind(value) or "null"]
end

--- A scalar as text. Numbers that are too large for a double have no other text.
---@param value string|number|boolean
---@return string
function words.text_of(value)
  if type(value) == "string" then return value end
  if value == math.huge then return "1e999" end
  if value == -math.huge then return "-1e999" end
  return json.encode(value)
end

--- A JSON integer from 0 to 2^63-1, written without point or exponent: the only integer the gateway takes.
---@param value any
---@return boolean
function words.is_uint(value)
  return math.type(value) == "integer" and value >= 0
end

-- What Go's ParseFloat takes beside plain decimals.
local odd_numbers = { inf = math.huge, infinity = math.huge, nan = 0 / 0 }

local function parsed(text)
  local sign, rest = text:match "^([-+]?)(.*)$"
  local number
  if rest:find "^%.?%d" then
    local is_hex = rest:find "^0[xX]"
    if is_hex and not rest:find "[pP]" then return nil end
    if not is_hex and rest:find "[^%d.eE+-]" then return nil end
    number = tonumber(rest)
    if number == math.huge then return nil end -- out of range is an error
  else
    number = odd_numbers[rest:lower()]
  end
  return number and (sign == "-" and -number or number)
end

--- The number of a JSON number, or of a text that holds one, blanks around it allowed; nil for anything else. A text
--- may say NaN or Inf; a number too large for a double is none.
---@param value any
---@return number?
function words.parse_number(value)
  if type(value) == "string" then return parsed(words.trim(value)) end
  if type(value) ~= "number" or value == math.huge or value == -math.huge then return nil end
  return value
end

--- The same without NaN and infinities, which the gateway deletes where it takes knobs.
---@param value any
---@return number?
function words.to_float(value)
  if math.type(value) == "integer" then return value end
  local n = words.parse_number(value)
  if n == nil or n ~= n or n == math.huge or n == -math.huge then return nil end
  return n
end

return words
