std = "lua54"
max_line_length = 120
self = false
codes = true
cache = false
exclude_files = { "build*/**", "lua/perilune/_meta/**", "node_modules/**" }
files["spec"] = { std = "lua54+busted" }
files["examples/perilune.lua"] = { read_globals = { "env", "file", "secret", "include" } }
files["examples/providers.lua"] = { read_globals = { "env", "file", "secret", "include" } }
files["examples/gonka"] = { read_globals = { "env", "file", "secret", "include" } }
