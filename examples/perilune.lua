--- A configuration with the options that most routers want. Every option there is: `perilune check --reference`;
-- what this file comes to, and where each value was written: `perilune check --config examples/perilune.lua --dump`.
--
-- The file is data: it knows env "NAME", file "PATH", secret "SOURCE" and include "PATH", and nothing else.
return {
  -- Where clients connect. Addresses that others can reach need client keys (below).
  listen = "127.0.0.1:9000",

  -- Secrets come from the environment ("env:NAME"), from a file of mode 0600 ("file:PATH") or from systemd
  -- ("cred:NAME"). They are read by the program; Lua never holds them.
  keys = {
    { id = "laptop", secret = secret "env:ROUTER_KEY" },
  },

  log = { level = env("LOG_LEVEL", "info") },

  -- Who answers. Tier 1 is asked first; within a tier requests are shared by weight.
  providers = {
    { id = "openai", url = "https://api.openai.com/v1", key = secret "env:OPENAI_API_KEY", tier = 1, weight = 100,
      timeouts = { first_token = "30s" } },
    -- A local engine: no key, a limit, and a public name that differs from the engine's own.
    { id = "local", url = "http://127.0.0.1:8000/v1", max_concurrent = 8, weight = 50,
      models = {
        ["llama-3.1-70b"] = { upstream = "meta-llama/Llama-3.1-70B-Instruct", aliases = { "llama" },
                              context_tokens = 131072, capabilities = { "chat", "tools" } },
      } },
    -- A broker of a network is a plain provider; what it serves, and how it spells that, is read from its /v1/models.
    -- `broker` names the network, so that its words for a refusal are understood.
    { id = "broker", url = "https://api.gonka24.com/v1", key = secret "env:GONKA_BROKER_KEY", tier = 2,
      broker = "gonka", discover_models = true },
    -- A network: its hosts are discovered, and requests are signed with the wallet's key.
    { id = "gonka", network = "gonka", source = { "http://node1.gonka.ai:8000", "http://node2.gonka.ai:8000" },
      key = secret "env:GONKA_PRIVATE_KEY", damping = "sqrt", default_max_concurrent = 4, tier = 2 },
  },

  -- Other names for public models.
  models = { ["llama-3.1-70b"] = { "gpt-4o-mini" } },

  timeouts = { connect = "3s", idle = "45s", total = "10m" },
  limits = { body_bytes = "16MiB" },
  route = { max_attempts = 4, failure_cooldown = "15s" },
  queue = { max = 500, wait = "5s" },
}
