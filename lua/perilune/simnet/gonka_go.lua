--- What Go's standard library says of JSON and base64 that it can not read, word for word: a Gonka node passes its
-- sentences on to the client.
--
-- Sources: go.dev/src/encoding/json/scanner.go, decode.go; encoding/base64/base64.go (Go 1.22).
local peri = require "perilune"

local go = {}

local DEPTH_MAX = 10000
local SPACE = "^[ \t\r\n]*()"

local function quote(c)
  if c == "'" then return [['\'']] end
  if c == '"' then return [['"']] end
  local byte = c:byte()
  if byte == 0x5c then return [['\\']] end
  if byte >= 0x20 and byte < 0x7f then return "'" .. c .. "'" end
  local named = ({ ["\a"] = "\\a", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
    ["\v"] = "\\v" })[c]
  if named then return "'" .. named .. "'" end
  if byte < 0x80 then return ("'\\x%02x'"):format(byte) end
  if byte < 0xa1 or byte == 0xad then return ("'\\u%04x'"):format(byte) end
  return "'" .. utf8.char(byte) .. "'" -- Go takes the byte for a code point
end

-- Reads on from `at`. Raises the sentence as a table, which json_fault catches.
local function stop(text, at, where)
  if at > #text then error { "unexpected end of JSON input" } end
  error { ("invalid character %s %s"):format(quote(text:sub(at, at)), where) }
end

local function skip_string(text, at) -- behind the opening quote
  while true do
    at = text:match('^[^"\\%c]*()', at)
    while text:byte(at) == 0x7f do at = text:match('^[^"\\%c]*()', at + 1) end
    local c = text:sub(at, at)
    if c == '"' then return at + 1 end
    if c ~= "\\" then stop(text, at, "in string literal") end
    local escape = text:sub(at + 1, at + 1)
    if not escape:find '^[bfnrt\\/"u]$' then stop(text, at + 1, "in string escape code") end
    at = at + 2
    for _ = 1, escape == "u" and 4 or 0 do
      if not text:find("^%x", at) then stop(text, at, "in \\u hexadecimal character escape") end
      at = at + 1
    end
  end
end

local function skip_number(text, at)
  if text:sub(at, at) == "-" then
    at = at + 1
    if not text:find("^%d", at) then stop(text, at, "in numeric literal") end
  end
  at = text:match("^0()", at) or text:match("^%d+()", at)
  if text:sub(at, at) == "." then
    at = at + 1
    if not text:find("^%d", at) then stop(text, at, "after decimal point in numeric literal") end
    at = text:match("^%d+()", at)
  end
  if text:find("^[eE]", at) then
    at = text:match("^[eE][+-]?()", at)
    if not text:find("^%d", at) then stop(text, at, "in exponent of numeric literal") end
    at = text:match("^%d+()", at)
  end
  return at
end

local LITERALS = { t = "true", f = "false", n = "null" }

local function skip_literal(text, at, word)
  for i = 2, #word do
    local c = word:sub(i, i)
    if text:sub(at + i - 1, at + i - 1) ~= c then
      stop(text, at + i - 1, ("in literal %s (expecting '%s')"):format(word, c))
    end
  end
  return at + #word
end

local skip_value

local function skip_member(text, at)
  at = text:match(SPACE, at)
  if text:sub(at, at) ~= '"' then stop(text, at, "looking for beginning of object key string") end
  at = text:match(SPACE, skip_string(text, at + 1))
  if text:sub(at, at) ~= ":" then stop(text, at, "after object key") end
  return at + 1
end

local function skip_members(text, at, depth, close, where)
  if depth > DEPTH_MAX then error { "exceeded max depth" } end
  local is_object = close == "}"
  local first = text:match(SPACE, at)
  if text:sub(first, first) == close then return first + 1 end
  while true do
    if is_object then at = skip_member(text, at) end
    at = text:match(SPACE, skip_value(text, at, depth))
    local c = text:sub(at, at)
    if c == close then return at + 1 end
    if c ~= "," then stop(text, at, where) end
    at = at + 1
  end
end

function skip_value(text, at, depth)
  at = text:match(SPACE, at)
  local c = text:sub(at, at)
  if c == "{" then return skip_members(text, at + 1, depth + 1, "}", "after object key:value pair") end
  if c == "[" then return skip_members(text, at + 1, depth + 1, "]", "after array element") end
  if c == '"' then return skip_string(text, at + 1) end
  if c:find "^[%d-]$" then return skip_number(text, at) end
  if LITERALS[c] then return skip_literal(text, at, LITERALS[c]) end
  stop(text, at, "looking for beginning of value")
end

--- What json.Unmarshal says of a text whose syntax is wrong; nil when it is right.
---@param text string
---@return string? sentence
function go.json_fault(text)
  local ok, why = pcall(function()
    local at = text:match(SPACE, skip_value(text, 1, 0))
    if at <= #text then stop(text, at, "after top-level value") end
  end)
  if ok then return nil end
  if type(why) == "table" then return why[1] end
  return "exceeded max depth" -- Lua's own stack ends before Go's limit
end

local function kind_of(value)
  local kind = peri.json.kind(value)
  return kind == "boolean" and "bool" or kind
end

local function fits(value, wanted)
  if value == nil then return true end
  if wanted == "int32" then
    local n = math.tointeger(value)
    return type(value) == "number" and n ~= nil and n >= -2147483648 and n <= 2147483647
  end
  return kind_of(value) == wanted
end

--- What json.Unmarshal says of a value that does not fit a struct; nil when it does.
---@param body any decoded, without nulls
---@param struct { name: string, fields: { name: string, kind: string, type: string }[] }
---@return string? sentence
function go.type_fault(body, struct)
  if kind_of(body) ~= "object" then
    if body == nil or body == peri.json.null then return nil end -- null leaves the struct empty
    return ("json: cannot unmarshal %s into Go value of type public.%s"):format(kind_of(body), struct.name)
  end
  for _, field in ipairs(struct.fields) do
    local value = body[field.name]
    if not fits(value, field.kind) then
      local kind = kind_of(value)
      if kind == "number" and field.kind == "int32" then kind = "number " .. peri.json.encode(value) end
      return ("json: cannot unmarshal %s into Go struct field %s.%s of type %s"):format(kind, struct.name, field.name,
        field.type)
    end
  end
end

-- Where four characters of base64 end that are padded, or the byte at which they are wrong. Offsets count from 0.
local function end_padded(text, at, position)
  if position < 2 then return nil, at - 2 end
  if position == 2 then
    at = text:match("^[\r\n]*()", at)
    if at > #text then return nil, #text end
    if text:sub(at, at) ~= "=" then return nil, at - 2 end
    at = at + 1
  end
  at = text:match("^[\r\n]*()", at)
  if at <= #text then return nil, at - 1 end
  return true
end

--- What base64.StdEncoding says of a text; nil when it is right.
---@param text string
---@return string? sentence
function go.base64_fault(text)
  local position, at = 0, 1 -- of the next character among its four, and in the text
  local wrong
  while at <= #text and not wrong do
    local c = text:sub(at, at)
    at = at + 1
    if c:find "^[%w+/]$" then
      position = (position + 1) % 4
    elseif c == "=" then
      local ok
      ok, wrong = end_padded(text, at, position)
      if ok then return nil end
    elseif c ~= "\r" and c ~= "\n" then
      wrong = at - 2
    end
  end
  if not wrong and position > 0 then wrong = #text - position end
  return wrong and ("illegal base64 data at input byte %d"):format(wrong) or nil
end

return go
