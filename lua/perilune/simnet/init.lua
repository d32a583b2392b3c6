--- Simulated networks in one process: providers that a quickstart, a spec or a benchmark can route to.
--
--     perilune simnet --providers 3 --model m1 --key sk-sim
--     perilune simnet --gonka 5 --wallet payer.key
--
-- prints one JSON line for each provider and network, and then serves until POST /sim/quit on any of them.
local peri = require "perilune"
local gateway = require "perilune.simnet.gateway"
local gonka = require "perilune.simnet.gonka"
local options = require "perilune.simnet.options"
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
---@param wanted? perilune.simnet.options
---@return table[]? providers
---@return string? why
---@return string? code
function simnet.start(wanted)
  wanted = wanted or {}
  local started = {}
  for i = 1, wanted.providers or 1 do
    local own = wanted.each and wanted.each[i] or {}
    local port = wanted.port and wanted.port > 0 and wanted.port + i - 1 or 0
    local p, why, code = provider.start {
      name = own.name or "sim" .. i,
      listen = own.listen or "127.0.0.1:" .. port,
      models = own.models or wanted.models,
      key = own.key or wanted.key,
      script = own.script or wanted.script,
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

local function add(started, list) table.move(list, 1, #list, #started + 1, started) end

local function start_all(wanted, started)
  if wanted.gonka then
    local network, why, code = gonka.start {
      hosts = wanted.gonka, models = wanted.models, wallets = wanted.wallets, script = wanted.script,
      shape = wanted.shape, scheme = wanted.scheme,
      listen = not wanted.providers and wanted.port and "127.0.0.1:" .. wanted.port or nil,
    }
    if not network then return nil, why, code end
    started[1] = network
  end
  for i = 1, wanted.gateway or 0 do
    local one, why, code = gateway.start {
      name = "gateway" .. i, models = wanted.models, key = wanted.key, script = wanted.script,
    }
    if not one then return nil, why, code end
    add(started, { one })
  end
  if (wanted.gonka or wanted.gateway) and not wanted.providers then return true end
  local providers, why, code = simnet.start(wanted)
  if not providers then return nil, why, code end
  add(started, providers)
  return true
end

local function fail(why, code)
  io.stderr:write("perilune simnet: ", why, "\n")
  return code
end

local FAILED, USAGE = 1, 2 -- exit codes, as every verb's

--- Run the network of a command line until it is told to quit; inside peri.run.
---@param args string[]|nil as `perilune help simnet` has them
---@return integer exit_code
function simnet.serve(args)
  local wanted, wrong = options.read(args or {})
  if not wanted then return fail(wrong, USAGE) end
  local started = {}
  local ok, why = start_all(wanted, started)
  if not ok then
    simnet.stop(started)
    return fail(why, FAILED)
  end
  for _, one in ipairs(started) do
    local line = one.describe and one:describe() or { name = one.name, url = one.url, port = one.port }
    io.write(peri.json.encode(line), "\n")
  end
  io.flush()
  while not has_quit(started) do peri.sleep(STEP_MS) end
  simnet.stop(started)
  peri.sleep(0)
  return 0
end

--- The same in an interpreter of its own.
---@param args string[]|nil
function simnet.main(args) peri.run(simnet.serve, args) end

return simnet
