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
echo "== the gateway, beside mitmproxy"
if [ -z "${VM0_MITMDUMP:-}" ] && ! command -v mitmdump >/dev/null; then
    python3 -m venv target/mitmproxy
    target/mitmproxy/bin/pip install --quiet mitmproxy==11.0.2
    export VM0_MITMDUMP="$PWD/target/mitmproxy/bin/mitmdump"
fi
cargo bench --locked --package vm0-testkit --bench egress
