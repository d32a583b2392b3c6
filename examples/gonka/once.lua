--- Discovery once, at the start, and never again: for jobs that are shorter than an epoch.
-- SIGHUP, a restart or peri.gonka.refresh() in a policy looks again.
return {
  providers = {
    { id = "gonka", network = "gonka", source = "http://node1.gonka.ai:8000",
      private_key = secret "env:GONKA_PRIVATE_KEY", refresh = false },
  },
}
