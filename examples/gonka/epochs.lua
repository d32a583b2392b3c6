--- Being told of each change of the hosts: the hook `epoch` of a policy, here one that writes it to the log.
return {
  providers = {
    { id = "gonka", network = "gonka", source = "http://node1.gonka.ai:8000",
      private_key = secret "env:GONKA_PRIVATE_KEY", refresh_interval = "30s" },
  },
  policies = { "tell_epochs.lua" },
}
