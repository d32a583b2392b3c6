--- gonka: hosts of a Gonka network drawn by stake, but not by stake alone.
-- Stakes of hosts differ by a factor of 250, machines by far less: drawn in proportion, large hosts drown while small
-- ones idle. Here a host's share is its stake, damped, times how it has done so far, divided by what it is doing now.
-- Providers that are no hosts of a network take part with their weight as it is; lower tiers wait for the ones above.
local peri = require "perilune"

local policy = {
  name = "gonka",
  options = {
    damping = { default = 0.5, doc = "power of the stake: 1 in proportion, 0.5 its square root, 0 all the same" },
    weights = { default = {}, doc = "address = share, instead of what the stake comes to" },
    trust = { default = 4, doc = "requests that an unknown host is taken to have answered well" },
    tries = { default = 4, doc = "hosts asked at most, for one request" },
    first_token_ms = { default = 0, doc = "give up on a host that is silent this long; 0: its own setting" },
  },
}

-- Refusals of the request itself: another host would say the same.
local final = { EREJECTED = true, EDEADLINE = true }

function policy.check(config)
  local options = config.options
  if options.damping < 0 or options.damping > 1 then return nil, "option 'damping' must be from 0 to 1" end
  for address, weight in pairs(options.weights) do
    if type(weight) ~= "number" or weight < 0 then
      return nil, "option 'weights': " .. tostring(address) .. " must have a number that is not negative"
    end
  end
  if options.tries < 1 then return nil, "option 'tries' must be at least 1" end
  if options.trust < 1 then return nil, "option 'trust' must be at least 1" end
  return true
end

local function share(provider)
  local options = policy.options
  local stake = options.weights[provider.address]
    or (provider.network == "gonka" and provider.weight ^ options.damping or provider.weight)
  if provider.reduced then stake = stake / 1000 end -- its machines compute proofs now
  local good = provider.success + options.trust
  return stake * good / (good + provider.failed) / (1 + provider.in_flight)
end

-- Those of the highest tier that has somebody who takes requests now.
local function candidates(req, tried)
  local list, tier
  for _, provider in ipairs(req:providers()) do
    if provider.admissible and not tried[provider.id] then
      list, tier = list or {}, tier or provider.tier
      if provider.tier == tier then list[#list + 1] = provider end
    end
  end
  return list
end

local function draw(list)
  local shares, sum = {}, 0
  for i, provider in ipairs(list) do
    shares[i] = share(provider)
    sum = sum + shares[i]
  end
  local left = peri.rand() * sum
  for i, provider in ipairs(list) do
    left = left - shares[i]
    if left < 0 then return provider end
  end
  return list[#list]
end

function policy.route(req)
  local limit = policy.options.first_token_ms
  local tried = {}
  for _ = 1, policy.options.tries do
    local list = candidates(req, tried)
    if not list then return nil end -- nobody now: the built-in route waits for a slot, or says why
    local host = draw(list)
    local answer, _, code = req:try(host, limit > 0 and { first_token_ms = limit } or nil)
    tried[host.id] = code ~= "EEMPTY" -- the model said nothing: not the host's fault, it may be drawn again
    if answer then return answer end
    if final[code] then return nil end
  end
end

--- An operator wants to see who came and went.
function policy.epoch(change)
  peri.log.info("gonka epoch", {
    network = change.network, old = change.old, new = change.new, added = table.concat(change.added, " "),
    removed = table.concat(change.removed, " "), changed = #change.changed,
  })
end

return policy
