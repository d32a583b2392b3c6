#!/usr/bin/env bash
# From a fresh checkout to a routed, streamed answer: installs what is missing, builds, starts the router, asks it.
#   examples/quickstart.sh          stays up afterwards, until Ctrl-C
#   examples/quickstart.sh --once   ends after the answer
#
# Without keys in the environment it routes to a simulated network on this machine: a provider that is down, five Gonka
# hosts that are discovered and check every signature, and a plain provider behind them. With OPENAI_API_KEY, or
# GONKA_PRIVATE_KEY and GONKA_SOURCE_URL, or PROVIDERS and KEYS, or PERILUNE_UPSTREAM, it routes to the real thing;
# PERILUNE_MODEL names the model then.
set -euo pipefail
cd "$(dirname "$0")/.."

once=
case "${1:-}" in
  "") ;;
  --once) once=1 ;;
  *) echo "usage: examples/quickstart.sh [--once]" >&2; exit 2 ;;
esac

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

work=$(mktemp -d)
started=()
leave() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

say "1. Set up and build"
spec/support/setup.sh build
[ -f build/build.ninja ] || cmake -S . -B build -G Ninja >"$work/cmake.log" || { cat "$work/cmake.log" >&2; exit 1; }
ninja -C build perilune perilune_lua | tail -n 1
export LUA_PATH="./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/lua/?.so;;"

# await FILE PATTERN: the first line that matches, once it is there.
await() {
  for ((tries = 0; tries < 200; tries++)); do
    grep -m 1 -e "$2" "$1" 2>/dev/null && return
    sleep 0.05
  done
  echo "nothing like '$2' appeared; this did:" >&2
  cat "$1" >&2
  return 1
}

listen=127.0.0.1:9000
[ -z "$once" ] || listen=127.0.0.1:0
if [ -n "${OPENAI_API_KEY:-}${GONKA_PRIVATE_KEY:-}${PROVIDERS:-}${PERILUNE_UPSTREAM:-}" ]; then
  say "2. Start the router with the providers of your environment"
  configuration=()
else
  say "2. Start a simulated network and the router in front of it"
  build/perilune simnet --gonka 5 --wallet "$work/wallet.key" --providers 1 --model sim-chat \
    --default "tokens=40;token_ms=50" >"$work/simnet.log" 2>&1 </dev/null &
  started+=($!)
  plain=$(await "$work/simnet.log" '"name":"sim1"' | sed 's/.*"url":"\([^"]*\)".*/\1/')
  chain=$(await "$work/simnet.log" '"network":"gonka"' | sed 's/.*"network":"gonka".*"url":"\([^"]*\)".*/\1/')
  cat >"$work/perilune.lua" <<LUA
return {
  providers = {
    { id = "down", url = "http://127.0.0.1:1/v1", tier = 1 }, -- nobody listens there
    { id = "gonka", network = "gonka", source = "$chain", key = secret "file:$work/wallet.key",
      refresh_interval = "1s", private_hosts = true, tier = 2 }, -- five hosts that check every signature
    { id = "plain", url = "$plain", models = { "sim-chat" }, tier = 3 },
  },
  policies = { "$PWD/policies/gonka.lua" },
}
LUA
  cat "$work/perilune.lua"
  configuration=(--config "$work/perilune.lua")
fi

build/perilune serve ${configuration[@]+"${configuration[@]}"} --listen "$listen" >"$work/router.log" 2>&1 </dev/null &
router=$!
started+=("$router")
port=$(await "$work/router.log" '"listening"' | sed 's/.*"port":\([0-9]*\).*/\1/')
url=http://127.0.0.1:$port/v1

if grep -q '"gonka"' "$work/perilune.lua" 2>/dev/null || [ -n "${GONKA_PRIVATE_KEY:-}" ]; then
  await "$work/router.log" '"gonka hosts"'
fi
model=${PERILUNE_MODEL:-}
[ -n "$model" ] || model=$(curl -sS "$url/models" | sed -n 's/^[^[]*\[{"id":"\([^"]*\)".*/\1/p')
[ -n "$model" ] || model=gpt-4o-mini

say "3. Ask it for a streamed answer from $model"
cat >"$work/tokens.lua" <<'LUA'
local json = require "perilune".json
for line in io.lines() do
  local data = line:match "^data: ?({.*)$"
  local event = data and json.decode(data)
  if event and event.error then io.write("error: ", event.error.message) end
  local choice = event and event.choices and event.choices[1]
  local token = choice and choice.delta and choice.delta.content
  if type(token) == "string" then io.write(token):flush() end
end
io.write "\n"
LUA
# While the answer runs, the network of the simulation enters its next epoch with three of its five hosts.
if [ -n "${chain:-}" ]; then
  (sleep 0.3 && curl -sS -o "$work/epoch" "$chain/sim/epoch" -d '{"hosts":["h1","h3","h5"]}') &
fi
curl -sS -N -D "$work/headers" "$url/chat/completions" -H 'content-type: application/json' \
  -d "{\"model\":\"$model\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Say hello to the moon.\"}]}" \
  | lua5.4 "$work/tokens.lua"

say "4. How it was routed"
grep -i -e '^HTTP/' -e '^x-perilune-' -e '^x-request-id' "$work/headers" | tr -d '\r'
await "$work/router.log" '"msg":"request"'
grep -q '^HTTP/1.1 200' "$work/headers"
if [ -n "${chain:-}" ]; then
  say "5. The epoch that began during the answer: hosts came and went, the stream did not notice"
  await "$work/router.log" '"gonka hosts".*"epoch":2'
fi

[ -z "$once" ] || exit 0
say "It stays up until Ctrl-C. Any OpenAI client can talk to it:"
cat <<TEXT
  curl $url/chat/completions -d '{"model":"$model","messages":[{"role":"user","content":"Hi"}]}'
  OPENAI_BASE_URL=$url OPENAI_API_KEY=any your-program
The log is in $work/router.log.
TEXT
wait "$router"
