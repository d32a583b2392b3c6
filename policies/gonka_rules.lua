--- gonka_rules: a request becomes one that the Gonka network accepts, or is refused with the network's own sentence.
-- Profile "repair" changes what can be changed without changing what is meant, and tells the client in the header
-- `x-perilune-edits`; "emulate" does exactly what the network's gateway does.
local json = require("perilune").json
local body = require "perilune.rules.body"
local context = require "perilune.rules.context"
local gateway = require "perilune.rules.gateway"
local releases = require "perilune.rules.releases"
local repair = require "perilune.rules.repair"

local policy = {
  name = "gonka_rules",
  options = {
    profile = { default = "repair", doc = "\"repair\", or \"emulate\" for exactly what the gateway does" },
    release = { default = "v0.2.14", doc = "which release of the gateway \"emulate\" does, see rules/releases.lua" },
    off = { default = {}, doc = "names of rules that are left out, see lua/perilune/rules/{gateway,repair}.lua" },
    networks = { default = { "gonka" }, doc = "networks whose providers are meant; empty: all providers" },
    default_tokens = { default = 3072, doc = "output tokens when the client names no limit" },
    cap_tokens = { default = 4096, doc = "most output tokens" },
  },
}

local off, networks -- of the options, which do not change while a policy is loaded

local function known_rules()
  local known = {}
  for _, rules in ipairs { gateway.rules, repair.rules } do
    for _, row in ipairs(rules) do known[row[1]] = true end
  end
  for name in pairs(repair.leaves) do known[name] = true end
  return known
end

function policy.check(config)
  local options = config.options
  if options.profile ~= "repair" and options.profile ~= "emulate" then
    return nil, ("option 'profile' must be \"repair\" or \"emulate\", got %q"):format(options.profile)
  end
  if not releases.known[options.release] then
    return nil, ("option 'release' must be one of those in rules/releases.lua, got %q"):format(options.release)
  end
  local known = known_rules()
  for _, name in ipairs(options.off) do
    if not known[name] then return nil, ("option 'off' names '%s', which is no rule"):format(name) end
  end
  return true
end

local function read_options(options)
  networks = {}
  for _, name in ipairs(options.networks) do networks[name] = true end
  if options.profile == "repair" then
    off = repair.off(options.off)
  else
    off = {}
    for _, name in ipairs(options.off) do off[name] = true end
  end
end

--- The gateway on the body as it stands.
local function emulate(attempt, settings)
  if json.depth(attempt.body) > body.max_nesting then return body.too_deep, "$body", 400 end
  settings.is_exact, settings.release = true, policy.options.release
  return gateway.run(context.new(attempt.body, settings))
end

function policy.attempt(req, attempt)
  local options = policy.options
  if not off then read_options(options) end
  if next(networks) and not networks[attempt.provider.network] then return end
  local settings = { model = attempt.model, off = off, limits = options }
  local c, message, field, status
  if options.profile == "repair" then
    c, message, field, status = repair.document(attempt.body, settings)
  else
    message, field, status = emulate(attempt, settings)
  end
  if message then return attempt:refuse(status, message, "gonka_rules", field) end
  if c and #c.notes > 0 then req:set_header("x-perilune-edits", repair.summary(c)) end
end

return policy
