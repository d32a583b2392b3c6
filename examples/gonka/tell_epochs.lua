--- tell_epochs: a policy that decides nothing, and says who came, went and changed with an epoch.
local peri = require "perilune"

local policy = { name = "tell_epochs" }

function policy.epoch(change)
  peri.shared.set("epoch of " .. change.network, change.new)
  peri.log.info("epoch", {
    network = change.network, old = change.old, new = change.new, added = table.concat(change.added, " "),
    removed = table.concat(change.removed, " "), changed = table.concat(change.changed, " "),
  })
end

return policy
