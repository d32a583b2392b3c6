--- Weights of one's own: a policy that draws hosts, told what some of them are to get whatever their stake.
return {
  providers = {
    { id = "gonka", network = "gonka", source = "http://node1.gonka.ai:8000",
      private_key = secret "env:GONKA_PRIVATE_KEY",
      deny = { "gonka1kx9mca3xm8u8ypzfuhmxey66u0ufxhs7nm6wc5" } },
  },
  policies = {
    { file = "../../policies/gonka.lua", options = {
      damping = 0.5,
      weights = {
        ["gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le"] = 500,
        ["gonka1dkl4mah5erqggvhqkpc8j3qs5tyuetgdy552cp"] = 0, -- only when nobody else is left
      },
    } },
  },
}
