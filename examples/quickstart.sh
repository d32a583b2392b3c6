#!/usr/bin/env bash
# From a fresh checkout to a routed, streamed answer: installs what is missing, builds, starts the router, asks it.
#   examples/quickstart.sh          stays up afterwards, until Ctrl-C
#   examples/quickstart.sh --once   ends after the answer
#
# Without keys in the environment it routes to simulated providers on this machine, the first of them broken, so that
# there is something to see. With OPENAI_API_KEY, or GONKA_PRIVATE_KEY and GONKA_SOURCE_URL, or PROVIDERS and KEYS, or
# PERILUNE_UPSTREAM, it routes to the real thing; PERILUNE_MODEL names the model then.
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
  say "2. Start two simulated providers and the router"
  lua5.4 -e 'require("perilune.simnet").main(arg)' - --providers 2 --model sim-chat --key sk-simulated \
    --default "tokens=24;token_ms=40" >"$work/simnet.log" 2>&1 </dev/null &
  started+=($!)
  await "$work/simnet.log" '"sim2"' >/dev/null
  urls=($(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$work/simnet.log"))
  cat >"$work/perilune.lua" <<LUA
return {
  providers = {
    { id = "broken", url = "http://127.0.0.1:1/v1", tier = 1 }, -- nobody listens there
    { id = "sim1", url = "${urls[0]}", key = secret "env:SIMULATED_KEY", tier = 2, weight = 70, models = { "sim-chat" } },
    { id = "sim2", url = "${urls[1]}", key = secret "env:SIMULATED_KEY", tier = 2, weight = 30, models = { "sim-chat" } },
  },
  policies = { "$PWD/policies/weighted.lua" },
}
LUA
  cat "$work/perilune.lua"
  export SIMULATED_KEY=sk-simulated
  configuration=(--config "$work/perilune.lua")
fi

build/perilune serve "${configuration[@]}" --listen "$listen" >"$work/router.log" 2>&1 </dev/null &
router=$!
started+=("$router")
port=$(await "$work/router.log" '"listening"' | sed 's/.*"port":\([0-9]*\).*/\1/')
url=http://127.0.0.1:$port/v1

model=${PERILUNE_MODEL:-}
[ -n "$model" ] || model=$(curl -sS "$url/models" | sed -n 's/^[^[]*\[[^]]*"id": *"\([^"]*\)".*/\1/p')
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
curl -sS -N -D "$work/headers" "$url/chat/completions" -H 'content-type: application/json' \
  -d "{\"model\":\"$model\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Say hello to the moon.\"}]}" \
  | lua5.4 "$work/tokens.lua"

say "4. How it was routed"
grep -i -e '^HTTP/' -e '^x-perilune-' -e '^x-request-id' "$work/headers" | tr -d '\r'
await "$work/router.log" '"msg":"request"'
grep -q '^HTTP/1.1 200' "$work/headers"

[ -z "$once" ] || exit 0
say "It stays up until Ctrl-C. Any OpenAI client can talk to it:"
cat <<TEXT
  curl $url/chat/completions -d '{"model":"$model","messages":[{"role":"user","content":"Hi"}]}'
  OPENAI_BASE_URL=$url OPENAI_API_KEY=any your-program
The log is in $work/router.log.
TEXT
wait "$router"
