--- fallback: providers in a fixed order, the next one when the one before can not answer.
-- Without the option `order`, the order is that of tiers, then that of the configuration. A provider whose answer was
-- empty is asked once more: nothing is wrong with it, and policies that mind (gonka_answers) ask differently then.
local peri = require "perilune"

local policy = {
  name = "fallback",
  options = {
    order = { default = {}, doc = "provider ids, best first" },
    first_token_ms = { default = 0, doc = "give up on a provider that is silent this long; 0: its own setting" },
  },
}

local final = { EREJECTED = true, EDEADLINE = true }

local function in_order(req)
  local order = policy.options.order
  if #order == 0 then return req:providers() end
  local by_id, chain = {}, {}
  for _, provider in ipairs(req:providers()) do by_id[provider.id] = provider end
  for _, id in ipairs(order) do chain[#chain + 1] = by_id[id] end
  return chain
end

function policy.check(config)
  local known = {}
  for _, provider in ipairs(config.providers) do known[provider.id] = true end
  for _, id in ipairs(config.options.order) do
    if not known[id] then return nil, "option 'order' names '" .. tostring(id) .. "', which is no provider" end
  end
  return true
end

function policy.route(req)
  local limit = policy.options.first_token_ms
  for _, provider in ipairs(in_order(req)) do
    if provider.admissible then
      local options = limit > 0 and { first_token_ms = limit } or nil
      local answer, why, code = req:try(provider, options)
      if code == "EEMPTY" then answer, why, code = req:try(provider, options) end
      if answer then return answer end
      peri.log.debug("falling back", { provider = provider.id, reason = why })
      if final[code] then return nil end
    end
  end
end

return policy
