#!/bin/sh
# Runs one spec file with the interpreter and the module path that the project's specs expect.
#   busted.sh BUILD_DIR SPEC [busted options…]
set -eu
build=$1; spec=$2; shift 2
export PERILUNE_BUILD="$build"
export LUA_CPATH="$build/lua/?.so;;"
export LUA_PATH="./?.lua;./lua/?.lua;./lua/?/init.lua;;"
# A module built with sanitizers needs their runtime in the interpreter from the start. Specs that only start
# programs do without, so that curl and node stay as they are.
if grep -q -e 'require *(*"perilune' -e 'spec\.support\.virtual' "$spec" && ldd "$build/lua/perilune.so" | grep -q libasan; then
  LD_PRELOAD=$(gcc -print-file-name=libasan.so)
  export LD_PRELOAD
fi
exec lua5.4 -e 'require "busted.runner"({ standalone = false })' /dev/null --output=plainTerminal "$@" "$spec"
