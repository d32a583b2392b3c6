--- weighted: each request goes to one provider, drawn by weight; another one answers when that one fails.
-- What the built-in route does, for you to change. Providers that rest, are full or were already tried take no part
-- in the draw, and a lower tier is drawn from only when the tiers above have nobody.
local policy = {
  name = "weighted",
  options = {
    tries = { default = 3, doc = "providers asked at most, for one request" },
    first_token_ms = { default = 0, doc = "give up on a provider that is silent this long; 0: its own setting" },
  },
}

-- Refusals of the request itself: another provider would say the same.
local final = { EREJECTED = true, EDEADLINE = true }

function policy.check(config)
  if config.options.tries < 1 then return nil, "option 'tries' must be at least 1" end
  return true
end

function policy.route(req)
  local options = policy.options
  for _ = 1, options.tries do
    local provider = req:pick()
    if not provider then return nil end -- nobody now: the built-in route waits for a slot, or says why
    local answer, _, code = req:try(provider, options.first_token_ms > 0
      and { first_token_ms = options.first_token_ms } or nil)
    if answer then return answer end
    if final[code] then return nil end
  end
end

return policy
