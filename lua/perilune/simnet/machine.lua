--- machine: where simulated providers and networks stand unless they are told otherwise: the machine's own clock, and
-- servers on its loopback address. perilune.testing gives them a place in virtual time instead.
local peri = require "perilune"

---@class perilune.simnet.place
---@field host string of the URLs
---@field serve fun(options: { listen: string, handler: fun(x: perilune.http_exchange) }): table?, string?, string?
---@field now_ms fun(): integer
---@field wall_ns fun(): integer

return { host = "127.0.0.1", serve = peri.http.serve, now_ms = peri.clock.now_ms, wall_ns = peri.clock.wall_ns }
