#!/usr/bin/env bash
# Installs the Debian packages that are still missing, and nothing when all are there.
#   spec/support/setup.sh build|test|bench     (test and bench include build)
#
# A package counts as present when the command or file it is wanted for is there, so a tool that came
# from elsewhere (a newer node, a compiler of one's own) is left alone.
set -euo pipefail

build_needs='
  gcc                    gcc
  libc6-dev              /usr/include/stdlib.h
  cmake                  cmake
  ninja-build            ninja
  pkg-config             pkg-config
  lua5.4                 lua5.4
  liblua5.4-dev          /usr/include/lua5.4/lua.h
  libuv1-dev             /usr/include/uv.h
  libhttp-parser-dev     /usr/include/http_parser.h
  libcurl4-openssl-dev   /usr/include/*/curl/curl.h
  libsecp256k1-dev       /usr/include/secp256k1.h
  libssl-dev             /usr/include/openssl/ssl.h
  zlib1g-dev             /usr/include/zlib.h
  libzstd-dev            /usr/include/zstd.h
  libbrotli-dev          /usr/include/brotli/decode.h
  nettle-dev             /usr/include/nettle/sha3.h
  curl                   curl
  ca-certificates        /etc/ssl/certs/ca-certificates.crt'
test_needs='
  lua-busted             busted
  lua-socket             /usr/share/lua/5.4/socket.lua
  lua-cjson              /usr/lib/*/lua/5.4/cjson.so
  lua-check              luacheck
  clang                  clang
  libclang-rt-dev        /usr/lib/llvm*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
  clang-format           clang-format
  nodejs                 node
  npm                    npm
  openssl                openssl'
bench_needs='
  nginx-light            nginx
  libnginx-mod-http-lua  /usr/lib/nginx/modules/ngx_http_lua_module.so
  lua-resty-core         /usr/share/lua/5.1/resty/core.lua
  lua-cjson              /usr/lib/*/lua/5.1/cjson.so
  haproxy                haproxy
  wrk                    wrk
  valgrind               valgrind
  iproute2               ip'

case "${1:-build}" in
  build) needs=$build_needs ;;
  test)  needs=$build_needs$test_needs ;;
  bench) needs=$build_needs$bench_needs ;;
  *) echo "usage: spec/support/setup.sh build|test|bench" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin # where nginx and haproxy live
missing=()
while read -r package probe; do
  [ -n "$package" ] || continue
  case "$probe" in
    /*) compgen -G "$probe" >/dev/null || missing+=("$package") ;;
    *) command -v "$probe" >/dev/null || missing+=("$package") ;;
  esac
done <<<"$needs"
[ ${#missing[@]} -gt 0 ] || exit 0

install=(apt-get -o DPkg::Lock::Timeout=400 install -y --no-install-recommends "${missing[@]}")
if ! command -v apt-get >/dev/null; then
  echo "setup: this needs Debian or one of its relatives; missing are: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "setup: some packages are missing. As root:" >&2
  echo "  apt-get update && ${install[*]}" >&2
  exit 1
fi

# A server that is only wanted for a comparison must not start listening because it was installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=400 update -qq </dev/null
"${install[@]}" -qq </dev/null >/dev/null
