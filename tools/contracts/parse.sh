#!/usr/bin/env bash
# Parses an AsyncAPI document with the AsyncAPI initiative's own parser, which is a Node package.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "make check parses the AsyncAPI document with Node 20 or later; on Debian: apt-get install -y nodejs npm" >&2
  exit 1
fi
# Installed once for a lock file; put in place in one step, so that two checks at once do not meet.
installed="$here/node_modules/.installed-$(sha256sum "$here/package-lock.json" | cut -c1-16)"
if [ ! -e "$installed" ]; then
  (cd "$here" && npm ci --omit=dev --no-audit --no-fund --loglevel=error >/dev/null)
  touch "$installed"
fi
exec node "$here/parse.mjs" "$1"
