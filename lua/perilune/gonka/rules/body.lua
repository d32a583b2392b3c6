--- body: what can be wrong with a request before it is JSON: its size, its nesting, its syntax.
-- The sentences for broken JSON are those of Go's decoder, since clients of the gateway see exactly these.
local json = require("perilune").json
local words = require "perilune.gonka.rules.words"

local body = {
  max_bytes = 10485760,
  max_nesting = 32,
}
body.too_deep = ("request nesting depth exceeds limit %d"):format(body.max_nesting)

--- How deep { and [ nest, as the gateway counts: outside strings, until `limit` is passed.
---@param text string
---@param limit integer
---@return boolean is_deeper
function body.is_deeper(text, limit)
  local depth, at = 0, 1
  while true do
    at = text:find('["{}%[%]]', at)
    if not at then return false end
    local c = text:byte(at)
    if c == 34 then
      repeat
        at = text:find('["\\]', at + 1)
        if not at then return false end
        local is_escape = text:byte(at) == 92
        if is_escape then at = at + 1 end
      until not is_escape
    elseif c == 123 or c == 91 then
      depth = depth + 1
      if depth > limit then return true end
    elseif depth > 0 then
      depth = depth - 1
    end
    at = at + 1
  end
end

-- ---- The first value of a text, or the decoder's complaint ----

local value

local function complain(text, at, where)
  local c = text:sub(at, at)
  if c == "" then error({ "unexpected EOF" }, 0) end
  local byte = c:byte()
  if byte >= 0x80 then c = utf8.char(byte) end
  local shown = c == "'" and "'\\''" or c == '"' and "'\"'" or "'" .. words.quote(c):sub(2, -2) .. "'"
  error({ "invalid character " .. shown .. " " .. where }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function string_end(text, at)
  while true do
    at = text:find('[%c"\\]', at + 1)
    if not at then error({ "unexpected EOF" }, 0) end
    local c = text:byte(at)
    if c == 34 then return at + 1 end
    if c < 32 then complain(text, at, "in string literal") end
    if c == 92 then
      at = at + 1
      if text:find("^u", at) then
        for _ = 1, 4 do
          at = at + 1
          if not text:find("^%x", at) then complain(text, at, "in \\u hexadecimal character escape") end
        end
      elseif not text:find('^[bfnrt\\/"]', at) then
        complain(text, at, "in string escape code")
      end
    end
  end
end

local function number_end(text, at)
  local start = at
  if text:find("^%-", at) then at = at + 1 end
  if not text:find("^%d", at) then complain(text, at, "in numeric literal") end
  at = text:find("^0", at) and at + 1 or text:find("%D", at) or #text + 1
  if text:find("^%.", at) then
    if not text:find("^%d", at + 1) then complain(text, at + 1, "after decimal point in numeric literal") end
    at = text:find("%D", at + 1) or #text + 1
  end
  if text:find("^[eE]", at) then
    local digits = text:find("^[+-]", at + 1) and at + 2 or at + 1
    if not text:find("^%d", digits) then complain(text, digits, "in exponent of numeric literal") end
    at = text:find("%D", digits) or #text + 1
  end
  return at, start
end

local function literal_end(text, at, word)
  for i = 2, #word do
    local expected = word:sub(i, i)
    if text:sub(at + i - 1, at + i - 1) ~= expected then
      complain(text, at + i - 1, ("in literal %s (expecting '%s')"):format(word, expected))
    end
  end
  return at + #word
end

local function array_end(text, at, depth)
  at = skip(text, at + 1)
  if text:find("^%]", at) then return at + 1 end
  while true do
    at = skip(text, value(text, at, depth + 1))
    local c = text:sub(at, at)
    if c == "]" then return at + 1 end
    if c ~= "," then complain(text, at, "after array element") end
    at = skip(text, at + 1)
  end
end

local function object_end(text, at, depth)
  at = skip(text, at + 1)
  if text:find("^}", at) then return at + 1 end
  while true do
    if not text:find('^"', at) then complain(text, at, "looking for beginning of object key string") end
    at = skip(text, string_end(text, at))
    if not text:find("^:", at) then complain(text, at, "after object key") end
    at = skip(text, value(text, skip(text, at + 1), depth + 1))
    local c = text:sub(at, at)
    if c == "}" then return at + 1 end
    if c ~= "," then complain(text, at, "after object key:value pair") end
    at = skip(text, at + 1)
  end
end

local literals = { t = "true", f = "false", n = "null" }

function value(text, at, depth)
  local c = text:sub(at, at)
  if c == "{" then return object_end(text, at, depth) end
  if c == "[" then return array_end(text, at, depth) end
  if c == '"' then return string_end(text, at) end
  if literals[c] then return literal_end(text, at, literals[c]) end
  if c:find("^[-%d]") then return number_end(text, at) end
  complain(text, at, "looking for beginning of value")
end

--- Escapes of half a surrogate pair, replaced by U+FFFD.
---@param text string
---@return string
function body.whole_surrogates(text)
  if not text:find("\\u[dD][89a-fA-F]") then return text end
  local out, from, at = {}, 1, 1
  while true do
    at = text:find("\\", at, true)
    if not at then break end
    if text:find("^u[dD][89abAB]%x%x\\u[dD][c-fC-F]%x%x", at + 1) then
      at = at + 12
    elseif text:find("^u[dD][89a-fA-F]%x%x", at + 1) then
      out[#out + 1] = text:sub(from, at - 1)
      out[#out + 1] = "\u{fffd}"
      at = at + 6
      from = at
    else
      at = at + 2
    end
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

--- Bytes that are no UTF-8, each replaced by U+FFFD.
---@param text string
---@return string
function body.whole_characters(text)
  local out, from = {}, 1
  while true do
    local count, bad = utf8.len(text, from)
    if count then break end
    out[#out + 1] = text:sub(from, bad - 1) .. "\u{fffd}"
    from = bad + 1
  end
  out[#out + 1] = text:sub(from)
  return table.concat(out)
end

--- A document of a text whose half surrogate pairs and wrong bytes are replaced; nil: it is not one value alone.
local function parsed(text)
  text = body.whole_surrogates(text)
  local doc = json.document(text)
  if doc ~= nil or utf8.len(text) then return doc end
  return (json.document(body.whole_characters(text)))
end

local kinds = { number = "number", string = "string", boolean = "bool", array = "array" }

--- The request of a text: its first value, as the gateway reads it.
---@param text string
---@return perilune.json.node? doc
---@return string? message
---@return string? field "$body"
---@return integer? status
function body.read(text)
  if #text > body.max_bytes then return nil, "request body too large", "$body", 413 end
  if body.is_deeper(text, body.max_nesting) then
    return nil, body.too_deep, "$body", 400
  end
  local doc = parsed(text)
  if doc == nil then
    local start = skip(text, 1)
    if start > #text then return nil, "parse request: EOF", "$body", 400 end
    local ok, stop = pcall(value, text, start, 1)
    if not ok then return nil, "parse request: " .. (type(stop) == "table" and stop[1] or stop), "$body", 400 end
    doc = parsed(text:sub(start, stop - 1))
  end
  local kind = json.kind(doc)
  if kind == "null" then return json.document("{}") end
  if kind ~= "object" then
    return nil, ("parse request: json: cannot unmarshal %s into Go value of type map[string]interface {}"):format(
      kinds[kind] or "value"), "$body", 400
  end
  return doc
end

return body
