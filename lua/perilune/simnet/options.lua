--- The command line of `perilune simnet`: every flag with what it takes. Whatever is wrong is said with the flag, the
-- value and what was expected.
local behaviour = require "perilune.simnet.behaviour"
local gonka_chain = require "perilune.simnet.gonka_chain"

local options = {}

local PORT_MAX = 65535

local function integer(least, most, what)
  local expected = ("%s from %d to %d"):format(what, least, most)
  return expected, function(text)
    local n = text:find "^%d+$" and math.tointeger(tonumber(text))
    return n and n >= least and n <= most and n or nil
  end
end

local function one_of(names)
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return "one of " .. table.concat(list, ", "), function(text) return names[text] and text end
end

local function word(what)
  return what, function(text) return text:find "^[\33-\126]+$" and text end
end

local function path() return "a path of a file", function(text) return text ~= "" and text end end

-- A key goes into a header, so it is a word; a behaviour says itself what is wrong with it.
local FLAGS = {}

local function flag(name, member, options_of, expected, read)
  FLAGS["--" .. name] = {
    member = member, is_list = options_of.is_list, needs = options_of.needs, expected = expected, read = read,
  }
end

flag("providers", "providers", {}, integer(1, 1000, "a number"))
flag("gonka", "gonka", {}, integer(1, 500, "a number of hosts"))
flag("gateway", "gateway", {}, integer(1, 100, "a number of gateways"))
flag("port", "port", {}, integer(0, PORT_MAX, "a port"))
flag("key", "key", {}, word "a key without white space")
flag("model", "models", { is_list = true }, word "a model's name without white space")
flag("wallet", "wallets", { is_list = true, needs = "gonka" }, path())
flag("shape", "shape", { needs = "gonka" }, one_of(gonka_chain.shapes))
flag("scheme", "scheme", { needs = "gonka" }, one_of(gonka_chain.schemes))
flag("default", "script", {}, "behaviours such as tokens=24;token_ms=40", function(text)
  local values, why = behaviour.parse(text)
  if values and next(values) then return { default = values } end
  return nil, why
end)

local function wrong(name, value, expected, why)
  return nil, ("%s: expected %s, got '%s'%s"):format(name, expected, value, why and ": " .. why or "")
end

--- Names of all flags, in order.
---@return string[]
function options.flags()
  local list = {}
  for name in pairs(FLAGS) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function take(into, name, value)
  local known = FLAGS[name]
  if not known then
    local what = name:find "^%-" and "option" or "argument"
    return nil, ("unknown %s '%s', `perilune simnet --help` lists the options"):format(what, name)
  end
  if not value then return nil, ("%s: expected %s, got nothing"):format(name, known.expected) end
  local read, why = known.read(value)
  if not read then return wrong(name, value, known.expected, why) end
  if known.is_list then
    into[known.member] = into[known.member] or {}
    table.insert(into[known.member], read)
  elseif into[known.member] ~= nil then
    return nil, name .. ": given more than once"
  else
    into[known.member] = read
  end
  return true
end

local function check_together(read)
  for _, name in ipairs(options.flags()) do
    local known = FLAGS[name]
    if read[known.member] and known.needs and not read[known.needs] then
      return nil, ("%s: is about a Gonka network, which --%s starts"):format(name, known.needs)
    end
  end
  local last = (read.port or 0) + (read.providers or 1) - 1
  if read.port and read.port > 0 and last > PORT_MAX then
    return nil, ("--port: %d providers from port %d on need ports up to %d, beyond %d"):format(read.providers,
      read.port, last, PORT_MAX)
  end
  return read
end

--- Read a command line; "--name value" and "--name=value" alike.
---@param args string[]
---@return table? options
---@return string? why
function options.read(args)
  local read = {}
  local i = 1
  while args[i] do
    local name, value = args[i]:match "^(%-%-[%w%-]+)=(.*)$"
    if not name then
      name, value = args[i], args[i + 1]
      i = i + 1
    end
    local ok, why = take(read, name, value)
    if not ok then return nil, why end
    i = i + 1
  end
  return check_together(read)
end

return options
