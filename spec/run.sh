#!/usr/bin/env bash
# Every test there is: sets the machine up, builds, runs the C tests and the specs, the linters, then the tests again under
# address and undefined-behaviour sanitizers, as clang builds them, and those of threads under the thread sanitizer, and the
# fuzzers over the corpora that are kept.
#   spec/run.sh            everything
#   spec/run.sh --quick    one build, its tests and the linters
#
# Every step runs even if one before it failed; the end lists what failed, and how long each took, and the exit status says so.
set -uo pipefail
cd "$(dirname "$0")/.."

quick=
case "${1:-}" in
  "") ;;
  --quick) quick=1 ;;
  *) echo "usage: spec/run.sh [--quick]" >&2; exit 2 ;;
esac

results=()
failed=0
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# step NAME COMMAND…: runs it, and keeps ctest's summary lines for the end.
step() {
  local name=$1 log=$logs/${#results[@]} verdict=ok began=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@" </dev/null > >(tee "$log") 2>&1 || { verdict=FAILED; failed=1; }
  results+=("$(printf '%-6s  %4d s  %s' "$verdict" $((SECONDS - began)) "$name")")
  while IFS= read -r line; do results+=("        $line"); done < <(
    grep -E '^[0-9]+% tests passed|^Total Test time' "$log" || true)
  [ "$verdict" = ok ]
}

# build DIRECTORY [cmake options…]
build() {
  local directory=$1
  shift
  cmake -S . -B "$directory" -G Ninja "$@" && ninja -C "$directory"
}

run_tests() { ctest --test-dir "$1" --output-on-failure --no-tests=error -j"$(nproc)" "${@:2}"; }

# A sanitized module needs the sanitizer's runtime preloaded into the interpreter (support/busted.sh), and programs that
# such an interpreter starts inherit it: Debian's curl then hangs before its main. Specs that do both stay with the
# plain build.
run_sanitized_tests() {
  local spec left_out=
  for spec in $(grep -l 'require *(*"perilune' spec/*_spec.lua | xargs -r grep -lE 'popen|support\.(process|router)'); do
    spec=$(basename "$spec" _spec.lua)
    echo "skipped: spec.$spec, which starts programs from an interpreter with the module"
    left_out="$left_out${left_out:+|}^spec\\.$spec\$"
  done
  run_tests build-asan ${left_out:+-E "$left_out"}
}

# Whose routers have several threads that meet: workers, control, reloads, watchers.
thread_specs="admin|budget|epoch_webhook|faults|gonka_gateway|gonka_kept|headers|leaving|lifetime|reload"

# The thread sanitizer keeps a signal until the thread calls the C library, which a loop in Lua may never do, and loses count of
# frames that Lua's errors jump over until its own stack is full: tests of budgets and those that raise errors by the thousand
# are left out (sandbox_test uses up budgets there that it keeps elsewhere). So is what has one thread and takes longer than
# its alarm there.
run_thread_tests() {
  local left_out='^c\.(budget|budget_reach|config_load|policy_crowd|policy_reach|sandbox|strings)_test$'
  echo "skipped: $left_out, and the specs but $thread_specs"
  run_tests build-tsan -R "^c\\.|^spec\\.($thread_specs)\$" -E "$left_out"
}

lint_lua() {
  local places=()
  for place in lua policies examples spec; do [ ! -d "$place" ] || places+=("$place"); done
  luacheck --quiet "${places[@]}"
}

lint_c() {
  find runtime examples spec -name '*.[ch]' -not -path '*/node_modules/*' -print0 |
    xargs -0 clang-format --dry-run --Werror && echo "formatted as .clang-format has it"
}

fuzz_targets() {
  find runtime -name '*_fuzz.c' -exec basename {} .c \; | sort
}

# Each fuzz target over what it ever stumbled on, or from a fixed seed where nothing was kept yet: the outcome is the
# same every time.
replay_corpora() {
  local target corpus inputs
  for target in $(fuzz_targets); do
    corpus=spec/vectors/fuzz/${target%_fuzz}
    inputs=(-runs=20000 -seed=1 -max_len=4096)
    [ ! -d "$corpus" ] || inputs=(-runs=0 "$corpus")
    echo "$target ${inputs[*]}"
    "build-fuzz/$target" "${inputs[@]}" >"$logs/fuzz" 2>&1 || { cat "$logs/fuzz"; return 1; }
  done
}

step "setup" spec/support/setup.sh test || exit 1
[ -d ../shared/data ] || echo "skipped: no ../shared/data, suites of published vectors will say so"

if step "build" build build; then
  step "tests" run_tests build
fi
step "luacheck" lint_lua
step "clang-format" lint_c
if [ -z "$quick" ]; then
  if step "build with sanitizers" build build-asan -DPERI_SANITIZE=ON; then
    step "tests under sanitizers" run_sanitized_tests
  fi
  if step "build with clang" build build-clang -DCMAKE_C_COMPILER=clang; then
    step "tests of the build with clang" run_tests build-clang
  fi
  if step "build with the thread sanitizer" build build-tsan -DPERI_TSAN=ON; then
    step "tests under the thread sanitizer" run_thread_tests
  fi
  if step "build the fuzz targets" env CC=clang cmake -S . -B build-fuzz -G Ninja -DPERI_FUZZ=ON -DPERI_TESTS=OFF &&
    step "compile the fuzz targets" ninja -C build-fuzz $(fuzz_targets); then
    step "fuzz corpora" replay_corpora
  fi
fi

printf '\n== summary\n'
printf '%s\n' "${results[@]}"
exit "$failed"
