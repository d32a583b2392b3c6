--- schema: what the gateway allows in a JSON Schema, counted the way it counts.
-- Works on plain tables (peri.json.table of the schema): a walk touches every member, and plain tables are the
-- fastest way to do that.
local json = require("perilune").json
local regex = require "perilune.gonka.rules.regex"
local words = require "perilune.gonka.rules.words"

local schema = {}

--- Limits by place. `bytes` is measured on the compact text with <, >, & escaped.
schema.limits = {
  response_format = { depth = 16, nodes = 128, arms = 16, enum = 256, pattern = 512, bytes = 16384 },
  structured_outputs = { depth = 16, nodes = 128, arms = 16, enum = 256, pattern = 512, bytes = 16384 },
  tools = { depth = 16, nodes = 256, arms = 16, enum = 256, pattern = 512, bytes = 16384 },
}

schema.types = { string = true, number = true, integer = true, boolean = true, object = true, array = true,
  null = true }

--- Keywords whose value is data, never walked.
schema.data = { enum = true, const = true, default = true, examples = true, required = true,
  dependentRequired = true }
--- Keywords whose value is a map from names to schemas: no level and no node of its own.
schema.maps = { properties = true, patternProperties = true, dependentSchemas = true }
schema.references = { ["$ref"] = true, ["$defs"] = true, definitions = true }

local arms = { "anyOf", "oneOf", "allOf" }

-- Only an empty table needs its mark to be told; names of members are strings, also "1".
local function is_array(t)
  local first = next(t)
  if first == nil then return json.kind(t) == "array" end
  return type(first) ~= "string"
end

local checks = {}

function checks.type(value)
  local invalid = "schema type is not a valid JSON-Schema primitive: "
  if type(value) == "string" then
    return not schema.types[value] and invalid .. words.quote(value) or nil
  end
  if type(value) ~= "table" or not is_array(value) then return invalid .. "must be a string or array of strings" end
  for _, name in ipairs(value) do
    if type(name) ~= "string" then return invalid .. "array elements must be strings" end
    if not schema.types[name] then return invalid .. words.quote(name) end
  end
end

function checks.pattern(value, limits)
  local invalid = "schema pattern is not a valid regular expression: "
  if type(value) ~= "string" then return invalid .. "must be a string" end
  if #value > limits.pattern then return ("%slength %d exceeds limit %d"):format(invalid, #value, limits.pattern) end
  local fault = regex.fault(value)
  return fault and invalid .. fault or nil
end

function checks.enum(value, limits)
  if type(value) == "table" and is_array(value) and #value > limits.enum then
    return ("enum size exceeded: limit %d"):format(limits.enum)
  end
end

local function check_arms(name, value, limits)
  if type(value) == "table" and is_array(value) and #value > limits.arms then
    return ("schema branch arms exceeded: %s limit %d"):format(name, limits.arms)
  end
end

local references = { "$ref", "$defs", "definitions" }

local function references_fault(node)
  for i = 1, 3 do
    if node[references[i]] ~= nil then
      return ("schema reference keyword is forbidden: %s is not allowed"):format(words.quote(references[i]))
    end
  end
end

--- The first thing wrong with one node's own keywords. Spelled out: it runs for every node of every tool.
local function node_fault(node, limits)
  local fault
  if node["$ref"] ~= nil or node["$defs"] ~= nil or node.definitions ~= nil then fault = references_fault(node) end
  local enum, kind, pattern = node.enum, node.type, node.pattern
  if not fault and enum ~= nil then fault = checks.enum(enum, limits) end
  if not fault and kind ~= nil and not schema.types[kind] then fault = checks.type(kind) end
  if not fault and pattern ~= nil then fault = checks.pattern(pattern, limits) end
  if fault then return fault end
  for i = 1, 3 do
    local name = arms[i]
    local value = node[name]
    fault = value ~= nil and check_arms(name, value, limits)
    if fault then return fault end
  end
end

local visit

--- Elements of an array, members of a map: each is one level down, a number too.
local function visit_each(values, depth, count, limits)
  for _, child in pairs(values) do
    local fault = visit(child, depth, count, limits)
    if fault then return fault end
  end
end

local function visit_members(node, depth, count, limits)
  for name, value in pairs(node) do
    if type(value) == "table" and not schema.data[name] then
      local visits = (schema.maps[name] or is_array(value)) and visit_each or visit
      local fault = visits(value, depth + 1, count, limits)
      if fault then return fault end
    end
  end
end

-- What is no object is looked at no further, and an array in an array is none.
function visit(node, depth, count, limits)
  if depth > limits.depth then return ("nesting depth exceeded: limit %d"):format(limits.depth) end
  if type(node) ~= "table" or is_array(node) then return nil end
  count.nodes = count.nodes + 1
  if count.nodes > limits.nodes then return ("node count exceeded: limit %d"):format(limits.nodes) end
  return node_fault(node, limits) or visit_members(node, depth, count, limits)
end

-- ---- Size ----

local escape_bytes = { ["\\b"] = 2, ["\\f"] = 2, ["\\n"] = 2, ["\\r"] = 2, ["\\t"] = 2, ['\\"'] = 2, ["\\\\"] = 2,
  ["\\/"] = 1 }

local function code_bytes(code)
  if code == 0x3c or code == 0x3e or code == 0x26 or code == 0x2028 or code == 0x2029 then return 6 end
  if code == 0x22 or code == 0x5c or (code >= 8 and code <= 13 and code ~= 11) then return 2 end
  if code < 0x20 then return 6 end
  return code < 0x80 and 1 or code < 0x800 and 2 or 3
end

--- What the bytes between the quotes of a string cost once Go has written them again.
local function string_bytes(raw)
  local extra = 0
  raw = raw:gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", function() extra = extra + 4 return "" end)
  raw = raw:gsub("\\(.)(%x?%x?%x?%x?)", function(c, hex)
    if c == "u" then
      extra = extra + code_bytes(tonumber(hex, 16))
      return ""
    end
    extra = extra + escape_bytes["\\" .. c]
    return hex
  end)
  local _, html = raw:gsub("[<>&]", "")
  local _, separators = raw:gsub("\u{2028}", "")
  local _, paragraphs = raw:gsub("\u{2029}", "")
  return #raw + extra + 5 * html + 3 * (separators + paragraphs)
end

--- Bytes of a JSON text in the gateway's encoding: no white space, <, >, & and U+2028, U+2029 escaped.
---@param text string
---@return integer
function schema.encoded_bytes(text)
  local bytes, at = 0, 1
  while true do
    local quote = text:find('"', at, true)
    local _, spaces = text:sub(at, (quote or 0) - 1):gsub("[ \t\r\n]", "")
    bytes = bytes + (quote or #text + 1) - at - spaces
    if not quote then return bytes end
    local stop = quote
    repeat
      stop = text:find('["\\]', stop + 1)
      local is_escape = text:byte(stop) == 92
      if is_escape then stop = stop + 1 end
    until not is_escape
    bytes = bytes + 2 + string_bytes(text:sub(quote + 1, stop - 1))
    at = stop + 1
  end
end

--- nil, or the sentence when a text is larger than allowed. Exact measuring is only done near the limit.
---@param text string
---@param limit integer
---@return string?
function schema.size_fault(text, limit)
  if #text * 6 <= limit then return nil end
  local _, html = text:gsub("[<>&\xe2]", "")
  if #text + 5 * html <= limit or schema.encoded_bytes(text) <= limit then return nil end
  return ("serialized size exceeded: limit %d bytes"):format(limit)
end

--- What the gateway would say about a schema; nil when it takes it.
---@param table_ table plain tables
---@param text string|fun():string its JSON text
---@param limits table one of schema.limits
---@return string?
function schema.fault(table_, text, limits)
  local fault = visit(table_, 1, { nodes = 0 }, limits)
  if fault then return fault end
  return schema.size_fault(type(text) == "function" and text() or text, limits.bytes)
end

return schema
