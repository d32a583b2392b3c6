#!/usr/bin/env bash
# What a request costs: perilune beside nginx (reverse proxy), nginx with Lua (decode, draw a provider) and HAProxy,
# all in front of the same provider, one worker each, in interleaved rounds. Prints a table and writes
# build/bench/latest.json.
#   spec/bench/run.sh [--quick] [--only NAME,…]      the comparison (about 8 minutes; --quick about 2)
#   spec/bench/run.sh --gate                         instructions per request against spec/bench/baseline.json
#   spec/bench/run.sh --record                       writes that baseline anew
#
# The figure that decides is CPU time per request: what the scheduler gave the gateway's threads, divided by the
# answers. perilune-signed sends to Gonka hosts: every request hashed and signed. The gateway has core 0, provider and load share core 1; so requests per second are what the load could
# ask for, not always the gateway's own limit. Medians over the rounds; neighbours move absolute values by 10-20 %,
# ratios within one run hold. nginx and HAProxy write no access log, perilune writes its line per request.
#
# Everything runs on loopback, in a network namespace of its own where that is allowed, and is stopped by process id.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

quick='' mode=compare only=''
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=1 ;;
    --gate) mode=gate ;;
    --record) mode=record ;;
    --only) only=$2; shift ;;
    *) echo "usage: spec/bench/run.sh [--quick] [--only NAME,…] | --gate | --record" >&2; exit 2 ;;
  esac
  shift
done
arguments=(${quick:+--quick} ${only:+--only "$only"})
[ "$mode" = compare ] || arguments=("--$mode")

if [ -z "${PERILUNE_BENCH_ALONE:-}" ]; then
  spec/support/setup.sh bench
  if [ "$(id -u)" -eq 0 ] && unshare --net true 2>/dev/null; then
    PERILUNE_BENCH_ALONE=1 exec unshare --net bash "$root/spec/bench/run.sh" "${arguments[@]}"
  fi
else
  ip link set lo up
fi

PATH=$PATH:/usr/sbin:/sbin
build=${PERILUNE_BUILD:-$root/build}
upstream_port=18080
nginx_modules=/usr/lib/nginx/modules
work=$(mktemp -d)
chmod 755 "$work"
samples=$work/samples
: >"$samples"
ulimit -n "$(ulimit -Hn)"

on_gateway_core=() on_load_core=()
if [ "$(nproc)" -gt 1 ]; then
  on_gateway_core=(taskset -c 0)
  on_load_core=(taskset -c 1)
else
  echo "one core only: nothing is pinned, expect noise"
fi
. spec/bench/gateways.sh

started=()
leave() {
  [ ${#started[@]} -eq 0 ] || kill "${started[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

# stop PID: ends a process of ours and waits for it.
stop() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  local left=()
  for each in "${started[@]}"; do [ "$each" = "$1" ] || left+=("$each"); done
  started=("${left[@]}")
}

# family PID: the process and its children (nginx serves from a child).
family() {
  echo "$1"
  cat /proc/"$1"/task/*/children 2>/dev/null | tr ' ' '\n' | grep . || true
}

cpu_ns() {
  local total=0 ns
  for each in $(family "$1"); do
    for file in /proc/"$each"/task/*/schedstat; do
      read -r ns _ <"$file" && total=$((total + ns))
    done
  done
  echo "$total"
}

# The resident memory of the process that serves, in KiB: of several, the largest.
rss_kib() {
  for each in $(family "$1"); do awk '/^VmRSS/ { print $2 }' "/proc/$each/status"; done | sort -n | tail -n 1
}

note() { printf '%s\t' "$@" >>"$samples"; echo >>"$samples"; }

# load KIND PORT CONNECTIONS SECONDS → requests, rate, p50 and p99 in µs, errors
load() {
  KIND=$1 "${on_load_core[@]}" wrk -t1 -c"$3" -d"$4"s --timeout 10s -s spec/bench/load.lua \
    "http://127.0.0.1:$2/v1/chat/completions" | sed -n 's/^wrk\t//p'
}

# measure NAME PID KIND SECONDS LABEL: one sample.
measure() {
  local before after requests rate p50 p99 errors
  before=$(cpu_ns "$2")
  read -r requests rate p50 p99 errors < <(load "$3" "${port_of[$1]}" 64 "$4")
  after=$(cpu_ns "$2")
  [ "$errors" -eq 0 ] || echo "$1: $errors of $requests $3 requests failed" >&2
  [ "$requests" -gt 0 ] || { echo "$1 answered nothing; its log ends:" >&2; tail -n 5 "$work/$1".* >&2; exit 1; }
  note "$5" "$1" "$3" "$(((after - before) / requests))" "$rate" "$p50" "$p99" "$errors"
}

wait_for() { "$work/client" first "$1" "$2"; }

for program in upstream client; do
  cc -O2 -std=c11 -D_GNU_SOURCE -o "$work/$program" "spec/bench/$program.c"
done
start_upstream() {
  "${on_load_core[@]}" "$work/upstream" "$upstream_port" "$@" &
  upstream=$!
  started+=("$upstream")
  wait_for "$upstream_port" 0 >/dev/null
}
start_upstream

# Instructions per request under callgrind. Two runs that differ only in how often they ask: what is left of their
# difference is the requests alone.
count_instructions() {
  local kind=$1 few=$2 many=$3 totals=() count
  write_perilune >"$work/perilune.lua"
  for count in "$few" "$many"; do
    valgrind --tool=callgrind --callgrind-out-file="$work/callgrind.$kind.$count" \
      "$build/perilune" serve --config "$work/perilune.lua" >"$work/perilune.out" 2>&1 </dev/null &
    pid=$!
    started+=("$pid")
    wait_for "${port_of[perilune]}" 0 >/dev/null
    "$work/client" ask "${port_of[perilune]}" "$count" "$kind"
    stop "$pid"
    totals+=("$(awk '/^(totals|summary):/ { print $2; exit }' "$work/callgrind.$kind.$count")")
  done
  note instructions perilune "$kind" $(((totals[1] - totals[0]) / (many - few)))
}

all_instructions() {
  stop "$upstream"
  start_upstream late
  count_instructions 1k 100 600
  count_instructions 64k 50 250
  count_instructions stream 4 24
}

mkdir -p "$build/bench"
if [ ! -x "$build/perilune" ]; then
  echo "skipped: perilune has no rows, $build/perilune is not built"
  gateways=(nginx nginx-lua haproxy)
fi
if [ "$mode" != compare ]; then
  all_instructions
  lua5.4 spec/bench/report.lua "$mode" "$samples" spec/bench/baseline.json
  exit
fi

# A stream under way when the time is up has cost CPU and counts for nothing; so streams get longer.
rounds=5 seconds=3 stream_seconds=6 held=(2000 5000) starts=5
if [ -n "$quick" ]; then rounds=3 seconds=1 stream_seconds=3 held=(2000) starts=3; fi
echo "load average: $(cat /proc/loadavg)"

chosen=()
for name in "${gateways[@]}"; do
  [ -n "$name" ] || continue
  if [ -z "$only" ] || [[ ",$only," == *",$name,"* ]]; then chosen+=("$name"); fi
done

declare -A pid_of
for name in "${chosen[@]}"; do
  start_gateway "$name"
  pid_of[$name]=$pid
  started+=("$pid")
  wait_for "${port_of[$name]}" 0 >/dev/null
done
for name in "${chosen[@]}"; do load 1k "${port_of[$name]}" 64 1 >/dev/null; done

for ((round = 1; round <= rounds; round++)); do
  echo "round $round of $rounds, load average $(cut -d' ' -f1-3 /proc/loadavg)" >&2
  for kind in 1k 64k stream; do
    length=$seconds
    [ "$kind" != stream ] || length=$stream_seconds
    for name in "${chosen[@]}"; do measure "$name" "${pid_of[$name]}" "$kind" "$length" proxied; done
  done
done
for name in "${chosen[@]}"; do stop "${pid_of[$name]}"; done

# Memory, start, and what other open streams cost: each gateway alone and fresh.
for name in "${chosen[@]}"; do
  echo "$name: start, memory, open streams" >&2
  for ((i = 0; i < starts; i++)); do
    t0=$(date +%s%N)
    start_gateway "$name"
    started+=("$pid")
    note start "$name" - "$(wait_for "${port_of[$name]}" "$t0")"
    [ $((i + 1)) -eq "$starts" ] || stop "$pid"
  done
  note rss "$name" idle "$(rss_kib "$pid")"
  measure "$name" "$pid" 1k "$seconds" "open-0"
  for count in "${held[@]}"; do
    coproc HOLD { "${on_load_core[@]}" "$work/client" hold "${port_of[$name]}" "$count" 2>"$work/hold.err"; }
    holder=$HOLD_PID
    if ! read -r _ <&"${HOLD[0]}"; then
      echo "$name could not hold $count streams: $(cat "$work/hold.err")" >&2
      wait "$holder" || true
      continue
    fi
    note rss "$name" "open-$count" "$(rss_kib "$pid")"
    for ((i = 0; i < 3; i++)); do measure "$name" "$pid" 1k "$seconds" "open-$count"; done
    eval "exec ${HOLD[1]}>&-"
    wait "$holder" || true
    load 1k "${port_of[$name]}" 64 1 >/dev/null
    note rss "$name" "after-$count" "$(rss_kib "$pid")"
  done
  stop "$pid"
done

# Signatures alone, beside what the rows of perilune-signed show.
measure_signatures() {
  "${on_gateway_core[@]}" "$build/bench_sign" >"$work/signatures"
  while read -r _ bytes plain verified; do
    note signature perilune-signed "$bytes" "$plain" "$verified"
  done <"$work/signatures"
}
if [[ " ${chosen[*]} " == *" perilune-signed "* ]]; then measure_signatures; fi

if [[ " ${chosen[*]} " == *" perilune "* ]]; then
  echo "perilune: instructions per request" >&2
  all_instructions
fi
lua5.4 spec/bench/report.lua compare "$samples" "$build/bench/latest.json"
echo "load average: $(cat /proc/loadavg)"
