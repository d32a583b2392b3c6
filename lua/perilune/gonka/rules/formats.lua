--- formats: response_format and structured_outputs, the two ways to ask for an answer of a given form.
local json = require("perilune").json
local regex = require "perilune.gonka.rules.regex"
local schema = require "perilune.gonka.rules.schema"
local words = require "perilune.gonka.rules.words"

local formats = {}

local function schema_fault(value, field, limits)
  local fault = schema.fault(json.table(value), function() return json.text(value) end, limits)
  if fault then return field .. ": " .. fault, field end
end

function formats.response_format(c)
  local format = c.top.response_format
  if format == nil then return end
  if json.kind(format) ~= "object" then
    return "response_format: invalid wrapper shape: must be an object", "response_format"
  end
  local kind, at = format.type, "response_format.type"
  if type(kind) ~= "string" or words.is_blank(kind) then
    return at .. ": missing or unsupported: must be a non-empty string", at
  end
  if kind == "text" or kind == "json_object" then return end
  if kind ~= "json_schema" then
    return ("%s: missing or unsupported: %s is not supported (allowed: text, json_object, json_schema)"):format(at,
      words.quote(kind)), at
  end
  local wrapper = format.json_schema
  if wrapper == nil or json.kind(wrapper) ~= "object" then
    return "response_format.json_schema: invalid wrapper shape: must be an object", "response_format.json_schema"
  end
  local name, name_at = wrapper.name, "response_format.json_schema.name"
  if type(name) ~= "string" or words.is_blank(name) then
    return name_at .. ": invalid: must be a non-empty string", name_at
  end
  if #name > 64 then
    return name_at .. ": invalid: must be 64 characters or fewer", name_at
  end
  if not name:find("^[%w_.-]+$") then return name_at .. ": invalid: must match ^[A-Za-z0-9_.-]+$", name_at end
  local body, body_at = wrapper.schema, "response_format.json_schema.schema"
  if body == nil or json.kind(body) ~= "object" then return body_at .. ": invalid shape: must be an object", body_at end
  return schema_fault(body, body_at, schema.limits.response_format)
end

-- ---- structured_outputs ----

local constraints = { "json", "regex", "choice", "grammar", "json_object", "structural_tag" }
local forms = {}

local function expression(name)
  local at = "structured_outputs." .. name
  return function(value)
    if type(value) ~= "string" then return at .. ": invalid shape: must be a string", at end
    if #value > 512 then return ("%s: length exceeded: %d > 512"):format(at, #value), at end
    local fault = regex.fault(value)
    if fault then return ("%s: must compile as a regex: %s"):format(at, fault), at end
  end
end
forms.regex = expression "regex"
forms.whitespace_pattern = expression "whitespace_pattern"

function forms.json(value)
  local at = "structured_outputs.json"
  if json.kind(value) ~= "object" then
    return at .. ": must be an object (string-encoded schemas are not accepted)", at
  end
  return schema_fault(value, at, schema.limits.structured_outputs)
end

function forms.choice(value)
  local at = "structured_outputs.choice"
  local must, beyond = at .. ": must be a non-empty string array", at .. ": exceeded size limits: "
  if json.kind(value) ~= "array" or #value == 0 then return must, at end
  if #value > 256 then return ("%s%d entries > 256"):format(beyond, #value), at end
  local total = 0
  for i = 1, #value do
    local entry = value[i]
    if type(entry) ~= "string" then return ("%s: choice[%d] must be a string"):format(must, i - 1), at end
    if #entry > 1024 then return ("%schoice[%d] length %d > 1024"):format(beyond, i - 1, #entry), at end
    total = total + #entry
    if total > 16384 then return ("%stotal length %d > 16384"):format(beyond, total), at end
  end
end

function forms.grammar(value)
  local at = "structured_outputs.grammar"
  if type(value) ~= "string" then return at .. ": invalid shape: must be a string", at end
  if #value > 8192 then return ("%s: length exceeded: %d > 8192"):format(at, #value), at end
  local depth, most = 0, 0
  for bracket in value:gmatch "[%[%](){}]" do
    local is_open = bracket == "(" or bracket == "[" or bracket == "{"
    depth = is_open and depth + 1 or math.max(0, depth - 1)
    most = math.max(most, depth)
    if most > 200 then return ("%s: nesting depth exceeded: %d > 200"):format(at, most), at end
  end
end

function forms.json_object(value)
  local at = "structured_outputs.json_object"
  if type(value) ~= "boolean" then return at .. ": must be a boolean", at end
end

function forms.structural_tag(value)
  local at = "structured_outputs.structural_tag"
  if json.kind(value) ~= "object" then
    return at .. ": invalid shape: must be an object (a JSON-encoded string crashes the engine)", at
  end
  local bytes = schema.encoded_bytes(json.text(value))
  if bytes > 4096 then return ("%s: length exceeded: %d > 4096"):format(at, bytes), at end
end

local function flag(name)
  return function(value)
    if type(value) ~= "boolean" then
      return "structured_outputs: flag must be a boolean: " .. name, "structured_outputs"
    end
  end
end
forms.disable_any_whitespace = flag "disable_any_whitespace"
forms.disable_additional_properties = flag "disable_additional_properties"

local options = { "whitespace_pattern", "disable_any_whitespace", "disable_additional_properties" }

local function known_fields_fault(c, value)
  for _, name in ipairs { "_backend", "_backend_was_auto" } do
    if value[name] ~= nil then
      value[name] = nil
      c:note("dropped structured_outputs." .. name)
    end
  end
  local first
  for name in pairs(value) do
    if not forms[name] and (not first or name < first) then first = name end
  end
  if first then
    return "structured_outputs: invalid wrapper shape: unknown sub-field " .. words.quote(first), "structured_outputs"
  end
end

function formats.structured_outputs(c)
  local value, at = c.top.structured_outputs, "structured_outputs"
  if value == nil then return end
  if c.family.structured_outputs == false then
    return at .. ": not supported on this model — use response_format instead", at
  end
  if json.kind(value) ~= "object" then return at .. ": invalid wrapper shape: must be an object", at end
  if c.top.response_format ~= nil then return at .. ": cannot be combined with response_format", at end
  local message, field = known_fields_fault(c, value)
  if message then return message, field end
  local set = {}
  for _, name in ipairs(constraints) do
    if value[name] ~= nil and value[name] ~= json.null then set[#set + 1] = name end
  end
  if #set ~= 1 then
    local got = #set == 0 and "got 0" or ("got %d: %s"):format(#set, table.concat(set, ", "))
    return ("%s: exactly one of json/regex/choice/grammar/json_object/structural_tag must be set (%s)"):format(at, got),
      at
  end
  message, field = forms[set[1]](value[set[1]])
  if message then return message, field end
  for _, name in ipairs(options) do
    if value[name] ~= nil and value[name] ~= json.null then
      message, field = forms[name](value[name])
      if message then return message, field end
    end
  end
end

return formats
