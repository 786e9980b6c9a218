#!/usr/bin/env bash
# Writes the locks with hashes and without any index address. `make lock` runs it.
set -euo pipefail
cd "$(dirname "$0")"
uv="${UV:-../.venv/bin/uv}"
lock() {
  local name=$1
  shift
  # What is pinned stays, unless `UPGRADE=--upgrade requirements/lock.sh` asks for the newest.
  if [ -f "$name.txt" ]; then cp "$name.txt" "$name.lock"; fi
  "$uv" pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
    --universal --python-version 3.11 ${UPGRADE:-} "$name.in" "$@" --output-file "$name.lock"
  { echo "# Made from $name.in by \`make lock\`."; cat "$name.lock"; } > "$name.txt"
  rm "$name.lock"
}
lock base
lock test --constraint base.txt
lock engine --constraint test.txt
lock java
