#!/usr/bin/env bash
# Every figure of the README, measured here and now.
set -euo pipefail
vm0=$1
for bench in start api "api --rows" cli events storage transfer; do
    echo "== vm0 bench $bench"
    # Words, not one argument.
    # shellcheck disable=SC2086
    "$vm0" bench $bench
done
