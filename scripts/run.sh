#!/bin/sh
# Run one of the project's TypeScript scripts on the Node that the project brings, whatever Node the machine has.
# The first run installs the packages of package-lock.json.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
stamp=node_modules/.package-lock.json
# Node 26 as npm brings it is linked to libatomic, which a small Debian does not have.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! ldconfig -p | grep -q 'libatomic\.so\.1 '; then
  echo "Installing with apt: libatomic1 (Node 26 needs it) …" >&2
  apt-get -qq update >&2
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install libatomic1 >/dev/null
fi
if [ ! -e "$stamp" ] || [ package-lock.json -nt "$stamp" ] || [ ! -x node_modules/.bin/node ]; then
  echo "Installing the packages of package-lock.json (npm ci) …" >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
  # npm may be told not to run install scripts: then the Node binary is still to be put in its place.
  [ -x node_modules/.bin/node ] && node_modules/.bin/node --version >/dev/null 2>&1 || npm rebuild node --foreground-scripts >&2
fi
node=$root/node_modules/.bin/node
case $("$node" --version) in
  v2[6-9].* | v[3-9][0-9].*) ;;
  *) echo "tintype needs Node 26, and $node is $("$node" --version): run 'npm ci' in $root." >&2; exit 2 ;;
esac
PATH=$root/node_modules/.bin:$PATH
export PATH
exec "$node" --disable-warning=ExperimentalWarning "$@"
