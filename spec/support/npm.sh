#!/bin/sh
# Puts the pinned JavaScript clients into a build directory, once for each state of the lock file, and prints where.
#   npm.sh BUILD_DIR
# Exit status 3, with the reason, when node or the packages can not be had: specs then say that they skip.
set -eu
build=$1
here=$(cd "$(dirname "$0")/.." && pwd)
command -v node >/dev/null && command -v npm >/dev/null || { echo "node and npm are not installed" >&2; exit 3; }
mkdir -p "$build/npm"
cd "$build/npm"
exec 9>lock
flock 9
state=$(cat "$here/package.json" "$here/package-lock.json" | cksum)
if [ "$(cat installed 2>/dev/null || true)" != "$state" ]; then
  cp "$here/package.json" "$here/package-lock.json" .
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1 ||
    { echo "npm ci failed: $(tail -n 3 npm.log)" >&2; exit 3; }
  printf '%s\n' "$state" >installed
fi
pwd
