--- repair_schema: JSON Schemas made to fit: references inlined, types and patterns spelled as they must be.
-- Works on the document, so that a schema which needs one change keeps the order and the bytes of the rest; and is only
-- called for schemas that the gateway would refuse.
local json = require("perilune").json
local kinds = require "perilune.kinds"
local regex = require "perilune.gonka.rules.regex"
local schema = require "perilune.gonka.rules.schema"

local is_kind, is_object = kinds.is, kinds.is_object

local repair = {
  --- Names of types in other languages.
  types = { str = "string", text = "string", int = "integer", long = "integer", float = "number", double = "number",
    decimal = "number", bool = "boolean", dict = "object", map = "object", list = "array", tuple = "array",
    none = "null" },
  --- Most references that are inlined in one schema: a small one can unfold into millions of nodes.
  most_references = 256,
  --- Times the nodes that the gateway takes, from which on a schema is cut before it is repaired.
  most_nodes = 2,
  --- Types in one list that are spelled one by one.
  most_types = 16,
}

--- Names of members, once each.
local function keys_of(node)
  local keys, seen = {}, {}
  for key in pairs(node) do
    if not seen[key] then
      seen[key] = true
      keys[#keys + 1] = key
    end
  end
  return keys
end

--- Calls `visit(holder, key, child, depth)` for every schema directly below a node. The child may be replaced.
local function each_child(node, visit)
  for _, key in ipairs(keys_of(node)) do
    local value = node[key]
    if not schema.data[key] then
      if is_object(value) then
        if schema.maps[key] then
          for _, name in ipairs(keys_of(value)) do
            if is_object(value[name]) then visit(value, name, value[name]) end
          end
        else
          visit(node, key, value)
        end
      elseif is_kind(value, "array") then
        for i = 1, #value do
          if is_object(value[i]) then visit(value, i, value[i]) end
        end
      end
    end
  end
end

-- ---- References ----

--- What a local reference points to: "#", "#/$defs/Name", ….
local function resolve(root, reference)
  if type(reference) ~= "string" or reference:sub(1, 1) ~= "#" then return nil end
  local at = root
  for step in reference:sub(2):gmatch "[^/]+" do
    step = step:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
    step = step:gsub("~1", "/"):gsub("~0", "~")
    if is_kind(at, "array") then
      at = math.tointeger(tonumber(step)) and at[math.tointeger(tonumber(step)) + 1]
    elseif is_object(at) then
      at = at[step]
    else
      return nil
    end
  end
  return is_object(at) and at or nil
end

--- Replace one node that is a reference. gives the node in its place, and whether it may hold references itself
local function replace(state, holder, key, node, under)
  local reference = node["$ref"]
  local target = not under[reference] and state.count < repair.most_references and resolve(state.copy, reference) or nil
  local kept = json.table(node)
  kept["$ref"], kept["$defs"], kept.definitions = nil, nil, nil
  state.count = state.count + 1
  if target then
    holder[key] = target
  else
    holder[key] = json.object { type = "object" }
  end
  local fresh = holder[key]
  for name, value in pairs(kept) do fresh[name] = value end
  return fresh, target ~= nil
end

local function inline(state, node, under)
  each_child(node, function(holder, key, child)
    local reference, inner = child["$ref"], under
    local goes_on = true
    if type(reference) == "string" then
      child, goes_on = replace(state, holder, key, child, under)
      inner = setmetatable({ [reference] = true }, { __index = under })
    end
    if goes_on then inline(state, child, inner) end
  end)
  for name in pairs(schema.references) do
    if node[name] ~= nil then node[name] = nil end
  end
end

--- Put what local references point to in their place. A schema that refers to itself ends in a plain object.
---@param root perilune.json.node
function repair.inline(root)
  local state = { copy = json.document(json.text(root)), count = 0 }
  local reference, under = root["$ref"], { ["#"] = true }
  if type(reference) == "string" then
    local target = resolve(state.copy, reference)
    under[reference] = true
    for _, name in ipairs(target and keys_of(target) or {}) do
      if root[name] == nil then root[name] = target[name] end
    end
  end
  root["$defs"], root.definitions = nil, nil
  inline(state, root, under)
end

-- ---- Keywords ----

local function type_of(name)
  if type(name) ~= "string" then return nil end
  name = name:lower()
  name = repair.types[name] or name
  return schema.types[name] and name or nil
end

--- Types of a list, once each. A long one is written anew: to edit each of its elements would cost more than all else.
local function unique_types(value)
  local names, seen = json.array {}, {}
  for i = 1, #value do
    local name = type_of(value[i])
    if name and not seen[name] then names[#names + 1] = name end
    if name then seen[name] = true end
  end
  return #names > 0 and names or nil
end

local function repair_type(node)
  local value = node.type
  if is_kind(value, "array") and #value > repair.most_types then
    node.type = unique_types(value)
  elseif is_kind(value, "array") then
    for i = #value, 1, -1 do
      local name = type_of(value[i])
      if name == nil then json.remove(value, i) elseif name ~= value[i] then value[i] = name end
    end
    if #value == 0 then node.type = nil end
  elseif not schema.types[value] then
    node.type = type_of(value)
  end
end

--- A pattern that RE2 knows: \uXXXX is spelled \x{XXXX} there. nil when it has no way to say it.
---@param pattern string
---@return string?
function repair.pattern(pattern)
  local spelled = pattern:gsub("\\u(%x%x%x%x)", "\\x{%1}"):gsub("%(%?<([%a_][%w_]*)>", "(?P<%1>")
  spelled = spelled:gsub("\\Z", "\\z")
  return #spelled <= schema.limits.tools.pattern and not regex.fault(spelled) and spelled or nil
end

local function repair_pattern(node, limits)
  local value = node.pattern
  if type(value) ~= "string" then
    node.pattern = nil
  elseif #value > limits.pattern or regex.fault(value) then
    local spelled = repair.pattern(value)
    node.pattern = spelled
    if not spelled then
      local text = type(node.description) == "string" and node.description .. " " or ""
      node.description = text .. "(Must match the pattern " .. value:sub(1, 512) .. ")"
    end
  end
end

--- Types and patterns of a node and all below it.
local function repair_keywords(node, limits)
  if node.type ~= nil then repair_type(node) end
  if node.pattern ~= nil then repair_pattern(node, limits) end
  each_child(node, function(_, _, child) repair_keywords(child, limits) end)
end

-- ---- Nullable ----

local function collapse(node)
  local types = node.type
  if is_kind(types, "array") then
    for i = #types, 1, -1 do
      if types[i] == "null" then json.remove(types, i) end
    end
    if #types == 1 then node.type = types[1] end
  end
  for _, name in ipairs { "anyOf", "oneOf" } do
    local arms = node[name]
    if is_kind(arms, "array") and #arms == 2 then
      local is_null = { is_object(arms[1]) and arms[1].type == "null", is_object(arms[2]) and arms[2].type == "null" }
      local other = is_null[1] and arms[2] or is_null[2] and arms[1] or nil
      if is_object(other) then
        for _, key in ipairs(keys_of(other)) do
          if node[key] == nil then node[key] = other[key] end
        end
        node[name] = nil
      end
    end
  end
  each_child(node, function(_, _, child) collapse(child) end)
end

--- Is there a type that may be null?
---@param node table plain tables
---@return boolean
function repair.is_nullable(node)
  for key, value in pairs(node) do
    if type(value) == "table" and not schema.data[key] and repair.is_nullable(value) then return true end
  end
  if node.type == "null" then return true end
  if type(node.type) == "table" then
    for _, name in ipairs(node.type) do
      if name == "null" then return true end
    end
  end
  return false
end

--- Single types for ["string","null"], for parsers that know no others.
---@param root perilune.json.node
function repair.collapse_nullable(root)
  collapse(root)
end

-- ---- The same in fewer levels and nodes ----

--- The types of arms that say nothing but one type each; nil when one says more.
local function arm_types(arms)
  local types, seen = json.array {}, {}
  for i = 1, #arms do
    local arm = arms[i]
    local name = is_object(arm) and json.len(arm) == 1 and arm.type
    if not schema.types[name] then return nil end
    if not seen[name] then types[#types + 1] = name end
    seen[name] = true
  end
  return types, seen
end

--- One list of arms. A single one stands for the node; those that are types only are a list of types.
local function merge_arms(node, name)
  local arms = node[name]
  if not is_kind(arms, "array") then return end
  if #arms == 1 and json.len(node) == 1 and is_object(arms[1]) then
    local only = json.document(json.text(arms[1]))
    node[name] = nil
    for key, value in pairs(only) do node[key] = value end
    return
  end
  local types, seen = arm_types(arms)
  -- An integer is a number: of one of both it would have to be neither.
  if types and name == "oneOf" and (#types < #arms or seen.integer and seen.number) then types = nil end
  if types and #types > 0 and name ~= "allOf" and node.type == nil then
    node.type = #types == 1 and types[1] or types
    node[name] = nil
  end
end

--- Say the same with fewer nodes.
local function merge(node)
  each_child(node, function(_, _, child) merge(child) end)
  for _, name in ipairs { "anyOf", "oneOf", "allOf" } do merge_arms(node, name) end
end

-- ---- Pruning ----

--- What is below `depth` becomes an open schema of the same type, and long lists of alternatives are dropped.
--- gives how many levels of schemas there are below the node
local function prune(node, depth, limits)
  local levels = 0
  if is_kind(node.enum, "array") and #node.enum > limits.enum then node.enum = nil end
  for _, name in ipairs { "anyOf", "oneOf", "allOf" } do
    if is_kind(node[name], "array") and #node[name] > limits.arms then node[name] = nil end
  end
  each_child(node, function(holder, key, child)
    if depth > 1 then
      levels = math.max(levels, 1 + prune(child, depth - 1, limits))
      return
    end
    levels = 1
    local kind = child.type
    if json.len(child) > (kind ~= nil and 1 or 0) then
      holder[key] = json.object { type = type(kind) == "string" and kind or nil }
    end
  end)
  return levels
end

-- Keywords that only tell people something, in the order in which a schema that is too large loses them.
local talk = { "examples", "$schema", "$id", "title", "default" }

--- Descriptions of at most `most` bytes, and nothing else that only describes.
local function shorten(node, most)
  for _, name in ipairs(talk) do
    if node[name] ~= nil then node[name] = nil end
  end
  local text = node.description
  if type(text) == "string" and #text > most then
    local stop = utf8.len(text) and utf8.offset(text, 0, most + 1) or most + 1
    node.description = most > 0 and text:sub(1, stop - 1) or nil
  end
  each_child(node, function(_, _, child) shorten(child, most) end)
end

local function nesting(value)
  local most = 0
  for _, member in pairs(value) do
    if type(member) == "table" then most = math.max(most, nesting(member)) end
  end
  return most + 1
end

local too_deep = "the whole body nests too deep"

local function fault_of(root, limits, levels)
  local plain = json.table(root)
  local fault = schema.fault(plain, function() return json.text(root) end, limits)
  -- Counting all levels is for schemas that hold data, or that are deep: few walks come near the body's limit.
  if nesting(plain) > levels then return too_deep end
  return fault
end

--- Names of the root's properties that are not required, from the last on, and how many properties there are.
local function droppable(root)
  local properties, required, names = root.properties, {}, {}
  if not is_object(properties) then return names, 0 end
  for _, name in ipairs(is_kind(root.required, "array") and root.required or {}) do required[name] = true end
  local all = keys_of(properties)
  for i = #all, 1, -1 do
    if not required[all[i]] then names[#names + 1] = all[i] end
  end
  return names, #all
end

local function drop(root, names, first, last)
  local properties = root.properties
  for i = first, last do properties[names[i]] = nil end
end

--- Drop as few properties as make a schema good, or all when none do. What is good stays good with fewer, so the number
--- is found by halving, on copies: one by one a schema of n properties would be checked n times. Each takes at least
--- five bytes, `"":1,`, so most of a very large schema goes at once.
local function drop_properties(root, limits, levels)
  if not fault_of(root, limits, levels) then return end
  local names, count = droppable(root)
  local few, many = math.max(0, math.min(#names, count - limits.bytes // 5)), #names
  drop(root, names, 1, few)
  if few > 0 and not fault_of(root, limits, levels) then return end
  local text, from = json.text(root), few + 1
  while many - few > 1 do
    local copy, half = json.document(text), (few + many) // 2
    drop(copy, names, from, half)
    if fault_of(copy, limits, levels) then few = half else many = half end
  end
  drop(root, names, from, many)
end

-- ---- What is far too large ----

--- Schemas directly below those of a level, and no more than fit.
local function next_level(level, room)
  local below = {}
  local function add(value)
    if type(value) == "table" then below[#below + 1] = value end
    return #below > room
  end
  for _, node in ipairs(level) do
    for name, value in pairs(node) do
      if type(value) == "table" and not schema.data[name] then
        if not schema.maps[name] and type(next(value)) ~= "number" then
          if add(value) then return below end
        else
          for _, child in pairs(value) do
            if add(child) then return below end
          end
        end
      end
    end
  end
  return below
end

--- How many levels of schemas below the root hold at most so many nodes together; nil: all of them.
local function levels_within(plain, most)
  local level, count, levels = { plain }, 1, 0
  repeat
    level = next_level(level, most - count)
    count = count + #level
    if count > most then return levels end
    levels = levels + 1
  until #level == 0
end

--- Cut a schema down to so many nodes: deeper levels first, then the root's own properties and alternatives.
---@return boolean is_done false: it has more where nothing may be cut
---@return boolean was_cut
local function cut(root, most, limits)
  for round = 1, 2 do
    local levels = levels_within(json.table(root), most)
    if not levels then return true, round > 1 end
    if levels > 0 then
      prune(root, levels, limits)
      return true, true
    end
    for _, name in ipairs { "anyOf", "oneOf", "allOf" } do
      if is_kind(root[name], "array") and #root[name] > limits.arms then root[name] = nil end
    end
    local names, count = droppable(root)
    drop(root, names, 1, math.min(#names, math.max(0, count - limits.nodes)))
  end
  return false, true
end

--- Make a schema acceptable. Every step looks at all nodes of the document, at some 50 µs each, so one with many times
--- the nodes that may be is cut first, or left alone where nothing may be lost.
---@param root perilune.json.node edited
---@param limits table one of schema.limits
---@param levels integer how deep it may nest where it stands
---@param may_prune boolean what only describes may lose detail; what constrains an answer may not
---@return string? what was done; nil when nothing was needed
---@return boolean is_too_deep it still nests deeper than `levels`
---@return boolean is_good the gateway takes it
function repair.run(root, limits, levels, may_prune)
  local fault = fault_of(root, limits, levels)
  if not fault then return nil, false, true end
  local most = repair.most_nodes * limits.nodes
  if not may_prune and levels_within(json.table(root), most) then return nil, fault == too_deep, false end
  local is_done, was_cut = true, false
  if may_prune then is_done, was_cut = cut(root, most, limits) end
  if not is_done then return "simplified", false, false end
  repair.inline(root)
  repair_keywords(root, limits)
  fault = fault_of(root, limits, levels)
  if not fault then return was_cut and "simplified" or "rewrote", false, true end
  merge(root)
  for _, bytes in ipairs { 1000, 200, 0 } do
    if not schema.size_fault(json.text(root), limits.bytes) then break end
    shorten(root, bytes)
  end
  if not may_prune then
    fault = fault_of(root, limits, levels)
    return "rewrote", fault == too_deep, not fault
  end
  local depth = limits.depth
  while depth >= 1 do
    if not fault_of(root, limits, levels) then return "simplified", false, true end
    -- Pruning at a depth that is not reached would change nothing.
    depth = math.min(depth - 1, prune(root, depth, limits))
  end
  drop_properties(root, limits, levels)
  return "simplified", false, not fault_of(root, limits, levels)
end

return repair
