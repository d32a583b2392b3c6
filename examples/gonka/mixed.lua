--- Two central providers and Gonka in one pool: of a hundred requests, fifty go to the network, shared by its hosts.
-- Weights of providers and of a whole network are on one scale; hosts share theirs by stake.
return {
  providers = {
    { id = "groq", url = "https://api.groq.com/openai/v1", key = secret "env:GROQ_API_KEY", weight = 30 },
    { id = "together", url = "https://api.together.xyz/v1", key = secret "env:TOGETHER_API_KEY", weight = 20 },
    { id = "gonka", network = "gonka", source = "http://node1.gonka.ai:8000",
      private_key = secret "env:GONKA_PRIVATE_KEY", weight = 50, damping = "sqrt" },
  },
}
