--- A central provider first, Gonka when it can not answer. Swap the tiers for the other way round.
return {
  providers = {
    { id = "openai", url = "https://api.openai.com/v1", key = secret "env:OPENAI_API_KEY", tier = 1,
      models = { ["gpt-4o-mini"] = {} }, timeouts = { first_token = "20s" } },
    { id = "gonka", network = "gonka", source = "http://node1.gonka.ai:8000",
      private_key = secret "env:GONKA_PRIVATE_KEY", tier = 2 },
  },
  -- Both are asked for one name; what it is called on the network stands here.
  models = { ["Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"] = { "gpt-4o-mini" } },
}
