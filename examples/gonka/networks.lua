--- Two networks beside each other: hosts are called main:gonka1… and test:gonka1…, each is paid from its own wallets.
return {
  providers = {
    { id = "mainnet", network = "gonka", prefix = "main:", source = "http://node1.gonka.ai:8000",
      private_key = { secret "env:GONKA_PRIVATE_KEY", secret "env:GONKA_PRIVATE_KEY_2" }, tier = 1 },
    { id = "testnet", network = "gonka", prefix = "test:", source = "http://127.0.0.1:8000",
      private_key = secret "env:TESTNET_PRIVATE_KEY", private_hosts = true, tier = 2 },
  },
}
