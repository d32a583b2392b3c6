#!/bin/sh
# Runs one spec file with the interpreter and the module path that the project's specs expect.
#   busted.sh BUILD_DIR SPEC [busted options…]
set -eu
build=$1; spec=$2; shift 2
export PERILUNE_BUILD="$build"
export LUA_CPATH="$build/lua/?.so;;"
export LUA_PATH="./?.lua;./lua/?.lua;./lua/?/init.lua;;"
exec lua5.4 -e 'require "busted.runner"({ standalone = false })' /dev/null --output=plainTerminal "$@" "$spec"
