--- bytes: a JSON text as a tree of its own bytes, read without the runtime, and what differs between two of them.
local bytes = {}

local value

local function skip(text, at)
  return text:find("[^ \t\r\n]", at)
end

local function string_end(text, at)
  repeat
    at = text:find('["\\]', at + 1)
    local is_escape = text:byte(at) == 92
    if is_escape then at = at + 1 end
  until not is_escape
  return at
end

local function container(text, at, close)
  local node = { kind = close == "}" and "object" or "array", from = at }
  at = skip(text, at + 1)
  while text:sub(at, at) ~= close do
    local name
    if close == "}" then
      local stop = string_end(text, at)
      name = text:sub(at, stop)
      at = skip(text, skip(text, stop + 1) + 1)
    end
    local child
    child, at = value(text, at)
    child.name = name
    node[#node + 1] = child
    at = skip(text, at)
    if text:sub(at, at) == "," then at = skip(text, at + 1) end
  end
  node.to = at
  return node, at + 1
end

function value(text, at)
  local c = text:sub(at, at)
  local node
  if c == "{" then node, at = container(text, at, "}")
  elseif c == "[" then node, at = container(text, at, "]")
  elseif c == '"' then
    local stop = string_end(text, at)
    node, at = { kind = "string", from = at, to = stop }, stop + 1
  else
    local stop = (text:find("[%s,%]}]", at) or #text + 1) - 1
    node, at = { kind = "scalar", from = at, to = stop }, stop + 1
  end
  node.raw = text:sub(node.from, node.to)
  return node, at
end

--- The tree of a text. Every node has `raw`, members have `name` as it is written, elements and members stand in order.
function bytes.tree(text)
  return (value(text, skip(text, 1)))
end

--- What stands between the children of a node.
local function frame(node)
  local parts, at = {}, 1
  for _, child in ipairs(node) do
    parts[#parts + 1] = node.raw:sub(at, child.from - node.from)
    at = child.to - node.from + 2
  end
  parts[#parts + 1] = node.raw:sub(at)
  return table.concat(parts, "\0")
end

-- Which child of `before` each child of `after` comes from: members by name, elements by their bytes, or by place when
-- none was taken out.
local function origins(before, after)
  local from, at = {}, 0
  for i, child in ipairs(after) do
    if after.kind == "array" and #before == #after then
      from[i] = i
    else
      for k = at + 1, #before do
        local is_it = before[k].raw == child.raw
        if after.kind == "object" then is_it = before[k].name == child.name end
        if is_it then
          from[i], at = k, k
          break
        end
      end
    end
  end
  return from
end

--- The places where two trees differ, as a list of { path, before, after }: nodes, nil where there is none. Bytes that
--- changed though nothing is said differently are told as "spacing" of their object or array.
function bytes.differences(before, after, path, list)
  path, list = path or "", list or {}
  if before.raw == after.raw then return list end
  local is_container = before.kind == "object" or before.kind == "array"
  if before.kind ~= after.kind or not is_container then
    list[#list + 1] = { path = path, before = before, after = after }
    return list
  end
  local from, kept, count = origins(before, after), {}, 0
  for i, child in ipairs(after) do
    local place = path .. "/" .. (child.name or i)
    if from[i] then
      kept[from[i]], count = true, count + 1
      bytes.differences(before[from[i]], child, place, list)
    else
      list[#list + 1] = { path = place, after = child }
    end
  end
  for k, child in ipairs(before) do
    if not kept[k] then list[#list + 1] = { path = path .. "/" .. (child.name or k), before = child } end
  end
  local is_whole = count == #before and count == #after
  if is_whole and frame(before) ~= frame(after) then list[#list + 1] = { path = path .. " spacing" } end
  return list
end

return bytes
