local testing = require "perilune.testing"

local HOOK = "https://ops.example/epochs"

testing.test("gonka: hosts are drawn by the square root of their stake", function(t)
  local net = testing.gonka { hosts = { { name = "small", weight = 100 }, { name = "large", weight = 900 } } }
  local router = t:router { policies = { "gonka.lua" }, providers = { net } }
  t:distribution(router, 200, { [net:id_of "small"] = 1 / 4, [net:id_of "large"] = 3 / 4 })
end)

testing.test("gonka: another host answers when one fails", function(t)
  local net = testing.gonka { hosts = { { name = "good", weight = 1 }, { name = "bad", weight = 1000000 } } }
  local router = t:router { policies = { "gonka.lua" }, providers = { net } }
  net:host("bad", { default = "status=500" })
  local got = router:chat { stream = true }
  t:equal(net:name_of(got.tried), { "bad", "good" })
  t:equal(net:answered("bad", 500), 1)
  t:ok(got.complete)
end)

testing.test("gonka: a broker serves while the machines compute proofs", function(t)
  local net = testing.gonka { hosts = 2 }
  local router = t:router { policies = { "gonka.lua" }, providers = { net, { id = "broker", tier = 2 } } }
  t:advance(0) -- the hosts are discovered: until then nobody waits for them, as the broker has the model
  t:equal(net:name_of(router:chat().provider):sub(1, 1), "h")
  net:at(300000, function() net:phase "PoCGenerate" end)
  net:at(900000, function() net:phase "Inference" end)
  t:advance(400000)
  t:equal(router:network_status()[1].phase, "PoCGenerate")
  t:equal(router:chat().provider, "broker")
  t:advance(600000)
  t:equal(router:network_status()[1].epoch, 2)
  t:equal(net:name_of(router:chat().provider):sub(1, 1), "h")
end)

testing.test("gonka: a change of the epoch is logged, and the operator's hook is told", function(t)
  local hook = testing.http { [HOOK] = testing.status(200) }
  local net = testing.gonka { hosts = 3, provider = { epoch_webhook = HOOK } }
  local router = t:router { policies = { "gonka.lua" }, providers = { net }, http = hook }
  t:equal(router:chat().status, 200)
  net:at(600000, function() net:epoch { "h1", "h2" } end)
  t:advance(700000)
  t:equal(router:chat().status, 200)
  local told = hook.requests[#hook.requests].json
  t:equal({ told.old_epoch, told.new_epoch }, { 1, 2 })
  local epochs = router:log "gonka epoch"
  t:equal(#epochs, 2) -- the first one, too
  t:equal(epochs[2].removed, net.hosts.h3.address)
end)
