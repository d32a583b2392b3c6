#!/usr/bin/env bash
# Proof that a fresh machine is enough: lays out a minimal Debian (debootstrap's minbase, where not even curl
# is installed) in a temporary directory, puts the committed tree into it, and runs the two commands the
# README gives, or the one given here.
#   spec/support/bare.sh [--keep] [COMMAND…]
#
# Needs root, debootstrap and git. The base system is kept as a tarball in $PERILUNE_BARE_CACHE (by default
# under the temporary directory), so that only the first run fetches it. Mirror, proxies, npm settings and
# certificates are this machine's own, read when it runs. Mounts and processes live in a namespace of their
# own and end with it.
set -euo pipefail
cd "$(dirname "$0")/../.."

keep=
if [ "${1:-}" = --keep ]; then keep=1; shift; fi
suite=bookworm
cache=${PERILUNE_BARE_CACHE:-${TMPDIR:-/tmp}/perilune-bare-$suite.tar}
work=$(mktemp -d)
root=$work/root
leave() { if [ -n "$keep" ]; then echo "bare: kept in $root"; else rm -rf --one-file-system "$work"; fi; }
trap leave EXIT

if [ ! -s "$cache" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Label: Debian" | head -n 1)
  echo "bare: fetching the base system into $cache"
  debootstrap --variant=minbase "$suite" "$work/base" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 ||
    { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
  tar -C "$work/base" -cf "$cache.part" .
  mv "$cache.part" "$cache"
  rm -rf --one-file-system "$work/base"
fi

mkdir -p "$root"
tar -C "$root" -xf "$cache"
mkdir -p "$root/src/perilune"
git archive HEAD | tar -C "$root/src/perilune" -xf -
echo "bare: $(git log -1 --format='%h %s')"

cp -L /etc/resolv.conf "$root/etc/resolv.conf"
apt-config dump | grep -E '^Acquire::https?::Proxy' >"$root/etc/apt/apt.conf.d/99proxy" || true
[ ! -f "$HOME/.npmrc" ] || cp "$HOME/.npmrc" "$root/root/.npmrc"
environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CI=true LANG=C.UTF-8)
for name in http_proxy https_proxy no_proxy npm_config_registry; do
  [ -z "${!name:-}" ] || environment+=("$name=${!name}")
done
if [ -f "${NODE_EXTRA_CA_CERTS:-}" ]; then
  cp -L "$NODE_EXTRA_CA_CERTS" "$root/root/extra-ca.pem"
  environment+=(NODE_EXTRA_CA_CERTS=/root/extra-ca.pem)
fi

inside() {
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1
    shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" /usr/bin/env -i "$@"
  ' bare "$root" "${environment[@]}" bash -c "cd /src/perilune && $1" </dev/null
}

failed=0
run() {
  local started=$SECONDS status=0
  printf '\n#### %s\n' "$1"
  inside "$1" || { status=$?; failed=1; }
  printf '#### exit %s after %s s: %s\n' "$status" "$((SECONDS - started))" "$1"
}
if [ $# -gt 0 ]; then
  run "$*"
else
  run "./examples/quickstart.sh --once"
  run "./spec/run.sh"
fi
exit "$failed"
