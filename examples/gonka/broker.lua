--- Gonka through a broker or a gateway of one's own: an ordinary provider with a key, and the network's rules applied
-- before a request is sent. It is the way in since nodes closed the signed API (v0.2.14).
return {
  providers = {
    { id = "broker", url = "https://api.gonka24.com/v1", key = secret "env:GONKA_BROKER_API_KEY",
      broker = "gonka", tags = "gonka" },
  },
  policies = { "../../policies/gonka_rules.lua", "../../policies/fallback.lua" },
}
