--- Simulated networks in one process: providers that a quickstart, a spec or a benchmark can route to.
--
--     perilune simnet --providers 3 --model m1 --key sk-sim
--     perilune simnet --gonka 5 --wallet payer.key
--
-- prints one JSON line for each provider and network, and then serves until POST /sim/quit on any of them.
local peri = require "perilune"
local gonka = require "perilune.simnet.gonka"
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

local function add(name)
  return function(options, value)
    options[name] = options[name] or {}
    table.insert(options[name], value)
  end
end

local function number(name)
  return function(options, value) options[name] = math.tointeger(tonumber(value)) end
end

local FLAGS = {
  ["--providers"] = number "providers",
  ["--gonka"] = number "gonka",
  ["--port"] = number "port",
  ["--key"] = function(options, value) options.key = value end,
  ["--model"] = add "models",
  ["--wallet"] = add "wallets",
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

local function start_all(options)
  local started = {}
  if options.gonka then
    started[1] = assert(gonka.start {
      hosts = options.gonka, models = options.models, wallets = options.wallets, script = options.script,
    })
  end
  if options.gonka and not options.providers then return started end
  table.move(assert(simnet.start(options)), 1, options.providers or 1, #started + 1, started)
  return started
end

--- Run the network of a command line until it is told to quit; inside peri.run.
---@param args string[]|nil as `perilune help simnet` has them
function simnet.serve(args)
  local started = start_all(assert(simnet.options(args or {})))
  for _, one in ipairs(started) do
    local line = one.describe and one:describe() or { name = one.name, url = one.url, port = one.port }
    io.write(peri.json.encode(line), "\n")
  end
  io.flush()
  while not has_quit(started) do peri.sleep(STEP_MS) end
  simnet.stop(started)
  peri.sleep(0)
end

--- The same in an interpreter of its own.
---@param args string[]|nil
function simnet.main(args) peri.run(simnet.serve, args) end

return simnet
