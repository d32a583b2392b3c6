--- Hosts that are believed only with proof: the list must lead, hash by hash, to a block that more than two thirds of
-- the validators in the file have signed. Fetch that file once, from a node you trust: /chain-rpc/validators.
return {
  providers = {
    { id = "gonka", network = "gonka", source = "http://node1.gonka.ai:8000",
      private_key = secret "env:GONKA_PRIVATE_KEY",
      verify_proofs = true, trust_validators = env("GONKA_VALIDATORS", "validators.json") },
  },
}
