--- repair_formats: the many ways to ask for an answer of a given form, made one of the two that the network knows.
local json = require("perilune").json
local kinds = require "perilune.kinds"
local schema = require "perilune.gonka.rules.schema"
local repair_schema = require "perilune.gonka.rules.repair_schema"
local words = require "perilune.gonka.rules.words"

local is_object, is_array = kinds.is_object, kinds.is_array

local formats = {
  --- Levels that a schema of an answer may nest: 32 for the body, less the three above it (two in structured_outputs).
  levels = 29,
}

--- A schema that may stand there as text.
local function parsed(value)
  if type(value) ~= "string" then return value end
  local doc = json.document(value)
  return is_object(doc) and doc or value
end

--- True is the schema that takes everything.
local function parsed_schema(value)
  if value == true then return json.object {} end
  return parsed(value)
end

local function json_schema(body, name)
  return { type = "json_schema", json_schema = { name = name or "answer", schema = body } }
end

--- A schema that binds the answer: spelled as it must be, but never loosened.
local function repair_answer_schema(c, body, place)
  local done, is_too_deep = repair_schema.run(body, schema.limits[place], formats.levels, false)
  if done then c:note(("%s the schema of %s"):format(done, place)) end
  if is_too_deep then c.is_too_deep = true end
end

local guided = { guided_regex = "regex", guided_choice = "choice", guided_grammar = "grammar" }

--- guided_* of older engines.
function formats.guided(c)
  local body = parsed(c.top.guided_json or c.top.format)
  if is_object(body) and c.top.response_format == nil and c.top.structured_outputs == nil then
    local name = c.top.guided_json and "guided_json" or "format"
    c:set("response_format", json_schema(body))
    c:set(name, nil)
    c:note(name .. " became response_format")
  elseif c.top.format == "json" and c.top.response_format == nil then
    c:set("response_format", { type = "json_object" })
    c:set("format", nil)
    c:note "format became response_format"
  end
  if c.top.response_format ~= nil or c.top.structured_outputs ~= nil then
    for _, name in ipairs { "guided_json", "format" } do
      if c.top[name] ~= nil then
        c:set(name, nil)
        c:note("dropped " .. name)
      end
    end
  end
  if c.family.structured_outputs == false then return end
  for old, new in pairs(guided) do
    local value = c.top[old]
    local is_constraint = type(value) == "string" or is_array(value)
    if is_constraint and c.top.response_format == nil and c.top.structured_outputs == nil then
      c:set("structured_outputs", { [new] = value })
      c:set(old, nil)
      c:note(old .. " became structured_outputs")
    end
  end
end

-- ---- response_format ----

local function repair_name(c, wrapper)
  local name = wrapper.name
  if type(name) ~= "string" or words.is_blank(name) then
    wrapper.name = "answer"
  elseif #name > 64 or not name:find "^[%w_.-]+$" then
    wrapper.name = name:gsub("[^%w_.-]", "_"):sub(1, 64)
  else
    return
  end
  c:note "renamed the schema of response_format"
end

local function repair_wrapper(c, format)
  local wrapper = format.json_schema
  if not is_object(wrapper) then
    local body = parsed_schema(format.schema)
    if json.kind(body) ~= "object" then return false end
    format.json_schema = { name = type(format.name) == "string" and format.name or "answer", schema = body }
    wrapper = format.json_schema
    c:note "rewrote response_format"
  elseif not is_object(wrapper.schema) then
    local body = parsed_schema(wrapper.schema)
    if json.kind(body) ~= "object" then
      if wrapper.schema ~= nil then return false end
      if wrapper.type == nil and wrapper.properties == nil then
        format.json_schema = nil
        return false
      end
      -- The schema itself stands where its wrapper belongs.
      format.json_schema = { name = "answer", schema = wrapper }
      wrapper = format.json_schema
    else
      wrapper.schema = body
    end
    c:note "rewrote response_format"
  end
  repair_name(c, wrapper)
  return true
end

local formats_of = { json = "json_object", json_object = "json_object", text = "text", json_schema = "json_schema" }

local function repair_kind(c, format)
  local kind = format.type
  if type(kind) == "string" and not words.is_blank(kind) then
    local known = formats_of[words.trim(kind):lower()]
    if known and known ~= kind then
      format.type = known
      c:note "corrected response_format.type"
    end
  elseif is_object(format.json_schema) or is_object(format.schema) then
    format.type = "json_schema"
    c:note "added response_format.type"
  end
end

--- Does it say no more than that there is a type, and not which?
local function says_nothing(format)
  local kind, count = format.type, json.len(format)
  local is_blank = kind == json.null or type(kind) == "string" and words.is_blank(kind)
  return count == 0 or count == 1 and is_blank
end

function formats.response_format(c)
  local format = c.top.response_format
  if type(format) == "string" and formats_of[format:lower()] and formats_of[format:lower()] ~= "json_schema" then
    c:set("response_format", { type = formats_of[format:lower()] })
    return c:note "rewrote response_format"
  end
  if is_object(format) and says_nothing(format) or is_array(format) and #format == 0 then
    c:set("response_format", nil)
    return c:note "dropped an empty response_format"
  end
  if not is_object(format) then return end
  repair_kind(c, format)
  if format.type ~= "json_schema" then return end
  if not repair_wrapper(c, format) then
    if format.json_schema == nil and format.schema == nil then
      c:set("response_format", { type = "json_object" })
      c:note "response_format without a schema became json_object"
    end
    return
  end
  repair_answer_schema(c, format.json_schema.schema, "response_format")
end

-- ---- structured_outputs ----

local known = { json = true, regex = true, choice = true, grammar = true, json_object = true, structural_tag = true,
  whitespace_pattern = true, disable_any_whitespace = true, disable_additional_properties = true }

--- Blanks between tokens mean nothing; a pattern for them that no engine reads may go.
local function is_pattern(value)
  return type(value) == "string" and repair_schema.pattern(value) ~= nil
end

local function repair_members(c, value)
  local others = {}
  for name, member in pairs(value) do
    local is_flag = name:find "^disable_" ~= nil
    local is_unreadable = is_flag and type(member) ~= "boolean"
      or name == "whitespace_pattern" and not is_pattern(member)
    if not known[name] or is_unreadable or member == json.null then
      others[#others + 1] = name
    end
  end
  for _, name in ipairs(others) do
    value[name] = nil
    c:note("dropped structured_outputs." .. name)
  end
  for _, name in ipairs { "json", "structural_tag" } do
    local given = value[name]
    local body = name == "json" and parsed_schema(given) or parsed(given)
    if body ~= given then
      value[name] = body
      c:note("rewrote structured_outputs." .. name)
    end
  end
end

local function repair_values(c, value)
  local choice = value.choice
  if type(choice) == "string" then
    value.choice = json.array { choice }
    c:note "made structured_outputs.choice a list"
  elseif is_array(choice) then
    for i = 1, #choice do
      if type(choice[i]) == "number" then
        choice[i] = words.text_of(choice[i])
        c:note "wrote structured_outputs.choice as texts"
      end
    end
  end
  if value.json_object == 1 or value.json_object == "true" then
    value.json_object = true
    c:note "wrote structured_outputs.json_object as a boolean"
  end
end

local function constraints_of(value)
  local count = 0
  for _, name in ipairs { "json", "regex", "choice", "grammar", "json_object", "structural_tag" } do
    if value[name] ~= nil then count = count + 1 end
  end
  return count
end

--- response_format says the same for a schema, and every model takes it.
local function as_response_format(c, value)
  if constraints_of(value) ~= 1 then return end
  if is_object(value.json) then
    c:set("response_format", json_schema(value.json))
  elseif value.json_object == true then
    c:set("response_format", { type = "json_object" })
  else
    return
  end
  c:set("structured_outputs", nil)
  c:note "structured_outputs became response_format"
end

--- Does response_format say what structured_outputs does?
local function is_said_twice(format, value)
  if not is_object(format) or constraints_of(value) ~= 1 then return false end
  if format.type == "json_object" then return value.json_object == true end
  local wrapper = format.json_schema
  return format.type == "json_schema" and is_object(wrapper) and value.json ~= nil and wrapper.schema ~= nil
    and json.same(wrapper.schema, value.json)
end

function formats.structured_outputs(c)
  local value = c.top.structured_outputs
  if is_array(value) and #value == 0 then
    c:set("structured_outputs", nil)
    return c:note "dropped structured_outputs: it constrains nothing"
  end
  if not is_object(value) then return end
  repair_members(c, value)
  if constraints_of(value) == 0 then
    c:set("structured_outputs", nil)
    return c:note "dropped structured_outputs: it constrains nothing"
  end
  repair_values(c, value)
  local format = c.top.response_format
  if is_object(format) and format.type == "text" then
    c:set("response_format", nil)
    c:note "dropped response_format text beside structured_outputs"
  elseif is_said_twice(format, value) then
    c:set("structured_outputs", nil)
    return c:note "dropped structured_outputs: response_format says the same"
  end
  if c.family.structured_outputs == false and c.top.response_format == nil then return as_response_format(c, value) end
  if is_object(value.json) then
    repair_answer_schema(c, value.json, "structured_outputs")
  end
  if type(value.regex) == "string" then
    local spelled = repair_schema.pattern(value.regex)
    if spelled and spelled ~= value.regex then
      value.regex = spelled
      c:note "respelled structured_outputs.regex"
    end
  end
end

return formats
