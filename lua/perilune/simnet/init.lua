--- Simulated networks in one process: providers that a quickstart, a spec or a benchmark can route to.
--
--     lua5.4 -e 'require("perilune.simnet").main(arg)' -- --providers 3 --model m1 --key sk-sim
--
-- prints one JSON line for each provider and then serves until POST /sim/quit on any of them.
local peri = require "perilune"
local provider = require "perilune.simnet.provider"

local simnet = {}

local STEP_MS = 50 -- how soon a quit is noticed

---@class perilune.simnet.options
---@field providers? integer how many, 1
---@field port? integer of the first, the others follow; 0 takes any
---@field models? string[]
---@field key? string what clients must send as bearer token
---@field script? table see perilune.simnet.behaviour
---@field each? table[] what differs: name, listen, models, key, script

--- Start several providers that differ in name and port alone.
-- `each[i]` overrides what is said for all.
---@param options? perilune.simnet.options
---@return table[]? providers
---@return string? why
---@return string? code
function simnet.start(options)
  options = options or {}
  local started = {}
  for i = 1, options.providers or 1 do
    local own = options.each and options.each[i] or {}
    local port = options.port and options.port > 0 and options.port + i - 1 or 0
    local p, why, code = provider.start {
      name = own.name or "sim" .. i,
      listen = own.listen or "127.0.0.1:" .. port,
      models = own.models or options.models,
      key = own.key or options.key,
      script = own.script or options.script,
    }
    if not p then
      simnet.stop(started)
      return nil, why, code
    end
    started[i] = p
  end
  return started
end

---@param providers table[]
function simnet.stop(providers)
  for _, p in ipairs(providers) do p:close() end
end

local function has_quit(providers)
  for _, p in ipairs(providers) do
    if p.has_quit then return true end
  end
  return false
end

local FLAGS = {
  ["--providers"] = function(options, value) options.providers = math.tointeger(tonumber(value)) end,
  ["--port"] = function(options, value) options.port = math.tointeger(tonumber(value)) end,
  ["--key"] = function(options, value) options.key = value end,
  ["--model"] = function(options, value)
    options.models = options.models or {}
    table.insert(options.models, value)
  end,
  ["--default"] = function(options, value) options.script = { default = value } end,
}

--- Read a command line.
---@param args string[]
---@return table? options
---@return string? why
function simnet.options(args)
  local options = {}
  local i = 1
  while args[i] do
    local set, value = FLAGS[args[i]], args[i + 1]
    if not set then return nil, "unknown option '" .. args[i] .. "'" end
    if not value then return nil, "'" .. args[i] .. "' needs a value" end
    set(options, value)
    i = i + 2
  end
  return options
end

--- Run the network of a command line until it is told to quit.
---@param args string[]|nil --providers N, --port P, --model M (repeated), --key K, --default BEHAVIOUR
function simnet.main(args)
  local options = assert(simnet.options(args or {}))
  peri.run(function()
    local providers = assert(simnet.start(options))
    for _, p in ipairs(providers) do
      io.write(peri.json.encode { name = p.name, url = p.url, port = p.port }, "\n")
    end
    io.flush()
    while not has_quit(providers) do peri.sleep(STEP_MS) end
    simnet.stop(providers)
    peri.sleep(0)
  end)
end

return simnet
