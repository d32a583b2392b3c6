--- words: how the network's gateway writes values in its sentences, and what it takes for blank.
-- It is written in Go, so quoting, blanks and type names are those of Go.
local json = require("perilune").json

local words = {}

local short = { ["\a"] = "\\a", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
  ["\v"] = "\\v", ['"'] = '\\"', ["\\"] = "\\\\" }

--- A string in quotes, like Go's %q.
---@param s string
---@return string
function words.quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c) return short[c] or ("\\x%02x"):format(c:byte()) end) .. '"'
end

-- White space beyond ASCII that Go's strings.TrimSpace takes away: U+0085, U+00A0, U+1680, U+2000-200A, U+2028,
-- U+2029, U+202F, U+205F, U+3000.
local wide = { "\u{85}", "\u{a0}", "\u{1680}", "\u{2028}", "\u{2029}", "\u{202f}", "\u{205f}", "\u{3000}" }
for code = 0x2000, 0x200a do wide[#wide + 1] = utf8.char(code) end

--- Is there nothing but white space?
---@param s string
---@return boolean
function words.is_blank(s)
  if s == "" or s:find("[^%s\x80-\xff]") then return s == "" end
  for _, space in ipairs(wide) do s = s:gsub(space, "") end
  return not s:find("%S")
end

--- A string without the white space around it.
---@param s string
---@return string
function words.trim(s)
  return (s:match("^%s*(.-)%s*$"))
end

local go_types = { string = "string", number = "json.Number", null = "<nil>", object = "map[string]interface {}",
  array = "[]interface {}", boolean = "bool" }

--- The gateway's name for a value's type: "json.Number", "<nil>", ….
---@param value any
---@return string
function words.go_type(value)
  return go_types[json.kind(value) or "null"]
end

--- A JSON integer from 0 to 2^63-1, written without point or exponent: the only integer the gateway takes.
---@param value any
---@return boolean
function words.is_uint(value)
  return math.type(value) == "integer" and value >= 0
end

--- What the gateway reads where it takes a number or the text of one; nil for everything it deletes.
---@param value any
---@return number?
function words.to_float(value)
  local n = value
  if type(value) == "string" then
    local text = words.trim(value)
    n = text:find("^[-+]?[%d.][%d.eE+-]*$") and tonumber((text:gsub("^%+", ""))) or nil
  elseif type(value) ~= "number" then
    return nil
  end
  if n == nil or n ~= n or n == math.huge or n == -math.huge then return nil end
  return n
end

return words
