--- Gonka hosts, discovered and followed: give a node of the chain and a wallet, the rest happens.
-- Several sources stand in for each other; hosts come and go with the epochs, each gets at most four requests at once.
return {
  providers = {
    {
      id = "gonka", network = "gonka",
      sources = { "http://node1.gonka.ai:8000", "http://node2.gonka.ai:8000", "http://node3.gonka.ai:8000" },
      private_key = secret "env:GONKA_PRIVATE_KEY",
      default_max_concurrent = 4,
    },
  },
  state_dir = env("STATE_DIRECTORY", "."), -- the last hosts known, for a start while no source answers
}
