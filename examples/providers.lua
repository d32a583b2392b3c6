--- One provider of each common kind, with the URL and the way of sending the key that each wants. Take the entries you
-- need; `perilune check --config examples/providers.lua` says what is missing.
return {
  providers = {
    -- Azure OpenAI: the deployment stands in the path, the version of the API in the query, the key in `api-key`.
    { id = "azure", key = secret "env:AZURE_OPENAI_API_KEY", auth_header = "api-key",
      url = "https://" .. env("AZURE_RESOURCE", "example") ..
            ".openai.azure.com/openai/deployments/gpt-4o?api-version=2024-10-21",
      models = { "gpt-4o" } },

    -- OpenRouter: names with the vendor in front; the two headers are for its own statistics, and may go.
    { id = "openrouter", url = "https://openrouter.ai/api/v1", key = secret "env:OPENROUTER_API_KEY",
      headers = { ["http-referer"] = "https://example.com", ["x-title"] = "example" }, discover_models = true },

    -- DeepSeek's base URL has no version.
    { id = "deepseek", url = "https://api.deepseek.com", key = secret "env:DEEPSEEK_API_KEY",
      models = { "deepseek-chat", "deepseek-reasoner" } },

    { id = "groq", url = "https://api.groq.com/openai/v1", key = secret "env:GROQ_API_KEY", discover_models = true },

    -- Local engines: no key, and a limit of requests at once, as one machine has.
    { id = "vllm", url = "http://127.0.0.1:8000/v1", discover_models = true, max_concurrent = 64 },
    { id = "llamacpp", url = "http://127.0.0.1:8080/v1", models = { ["local-small"] = "default" }, max_concurrent = 4,
      timeouts = { first_token = "5m" } },
    { id = "ollama", url = "http://127.0.0.1:11434/v1", discover_models = true, max_concurrent = 2,
      timeouts = { first_token = "5m" } }, -- it loads a model when it is first asked for

    -- A broker of the Gonka network is a plain provider with a list. `broker` has its refusals read as the network
    -- means them.
    { id = "gonka-broker", url = "https://api.gonka24.com/v1", key = secret "env:GONKA_BROKER_KEY", tier = 2,
      discover_models = true, broker = "gonka" },
  },
}
