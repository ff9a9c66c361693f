#!/usr/bin/env bash
# Tries to get out of the sandboxes, on gVisor and on runc, and says what came of every probe:
# on the terminal and in target/redteam/report.md. Fails if anything got out, if a probe is not
# proven by its control outside, or if a campaign did not run.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "the controls and the sandboxes need root: run 'sudo make redteam'" >&2
    exit 1
fi
export VM0_REDTEAM="$PWD/target/redteam"
rm -rf "$VM0_REDTEAM"
mkdir -p "$VM0_REDTEAM"

cargo build --locked --workspace --bin vm0 --example probe
failed=0
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --locked --workspace -E 'binary(e2e) and test(/^(escape|canary)::/)' || failed=1
else
    cargo test --locked --workspace --test e2e -- escape:: canary:: || failed=1
fi
target/debug/examples/probe report "$VM0_REDTEAM" || failed=1
echo "the report is in target/redteam/report.md"
exit "$failed"
