--- Gonka hosts chosen by hand: nobody is asked who they are, and nothing is refreshed.
-- Each is "url;address"; the address is the account that the host's node signs for.
return {
  providers = {
    {
      id = "gonka", network = "gonka", private_key = secret "env:GONKA_PRIVATE_KEY",
      endpoints = {
        "http://node1.gonka.ai:8000/v1;gonka1y2a9p56kv044327uycmqdexl7zs82fs5ryv5le",
        "http://node2.gonka.ai:8000/v1;gonka1dkl4mah5erqggvhqkpc8j3qs5tyuetgdy552cp",
      },
    },
  },
}
