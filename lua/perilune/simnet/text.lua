--- Words, numbers and arguments that a simulated provider answers with: made up, and the same every time.
local text = {}

local WORDS = {
  "the", "moon", "pulls", "tides", "across", "quiet", "water", "while", "routers", "carry", "tokens", "home",
  "under", "a", "patient", "sky", "and", "every", "answer", "finds", "its", "way",
}

--- n tokens, each a word with the space before it.
---@param n integer
---@return string[]
function text.tokens(n)
  local list = {}
  for i = 1, n do list[i] = (i > 1 and " " or "") .. WORDS[(i - 1) % #WORDS + 1] end
  return list
end

--- A given text in tokens: a word with the white space before it.
---@param given string
---@return string[]
function text.split(given)
  local list = {}
  for word in given:gmatch("%s*%S+") do list[#list + 1] = word end
  local tail = given:match("%S(%s+)$")
  if tail then list[#list] = list[#list] .. tail end
  return list
end

--- Pieces of at most `size` bytes that do not cut a UTF-8 sequence.
---@param given string
---@param size integer
---@return string[]
function text.pieces(given, size)
  local list, from = {}, 1
  while from <= #given do
    local to = math.min(#given, from + size - 1)
    while to < #given and given:byte(to + 1) & 0xc0 == 0x80 do to = to + 1 end
    list[#list + 1] = given:sub(from, to)
    from = to + 1
  end
  return list
end

--- About how many tokens a text has: four bytes each, as everybody guesses.
---@param given string
---@return integer
function text.count(given) return (#given + 3) // 4 end

local example

local function example_object(schema)
  local object = {}
  for name, property in pairs(schema.properties or {}) do object[name] = example(property) end
  return object
end

--- A value that fits a JSON schema, as far as simulated tools need it.
---@param schema table
---@return any
function example(schema)
  if type(schema) ~= "table" then return "sim" end
  if type(schema.enum) == "table" and schema.enum[1] ~= nil then return schema.enum[1] end
  if schema.const ~= nil then return schema.const end
  local kind = type(schema.type) == "table" and schema.type[1] or schema.type
  if kind == "object" or schema.properties then return example_object(schema) end
  if kind == "array" then return { example(schema.items or {}) } end
  if kind == "integer" then return schema.minimum and math.ceil(schema.minimum) or 1 end
  if kind == "number" then return schema.minimum or 1.5 end
  if kind == "boolean" then return true end
  return "sim"
end
text.example = example

--- A unit vector that depends on the text alone.
---@param given string
---@param dimensions integer
---@return number[]
function text.vector(given, dimensions)
  local state, list, sum = 2166136261, {}, 0.0
  for i = 1, #given do state = (state ~ given:byte(i)) * 16777619 & 0xffffffff end
  for i = 1, dimensions do
    state = (state * 1664525 + 1013904223) & 0xffffffff
    list[i] = state / 0x80000000 - 1.0
    sum = sum + list[i] * list[i]
  end
  for i = 1, dimensions do list[i] = list[i] / math.sqrt(sum) end
  return list
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Base64, RFC 4648 section 4.
---@param given string
---@return string
function text.base64(given)
  local list = {}
  for i = 1, #given, 3 do
    local a, b, c = given:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local digit = bits >> (18 - 6 * k) & 63
      local is_padding = (k == 2 and not b) or (k == 3 and not c)
      list[#list + 1] = is_padding and "=" or DIGITS:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(list)
end

return text
