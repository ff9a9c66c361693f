#!/usr/bin/env bash
# From nothing to an artifact, on this machine, without a key. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
vm0=$(realpath "$1")

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say "1. A server with the strongest sandbox this machine has"
"$vm0" serve --listen 127.0.0.1:0 --data-dir "$work/data" --sandbox auto \
    >"$work/address" 2>"$work/server.log" &
server=$!
for _ in $(seq 300); do
    grep -q '^listening on ' "$work/address" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.1
done
VM0_API_URL=$(sed -n 's/^listening on //p' "$work/address")
[ -n "$VM0_API_URL" ] || { cat "$work/server.log" >&2; exit 1; }
VM0_TOKEN=$("$vm0" token create --user demo --data-dir "$work/data")
export VM0_API_URL VM0_TOKEN
echo "$VM0_API_URL"

say "2. A volume: a CSV that the agent may read"
cp -r examples "$work/examples"
cd "$work/examples/shell-report"
(cd sales && "$vm0" volume init -n demo-sales && "$vm0" volume push)

say "3. An agent, from examples/shell-report/vm0.yaml"
"$vm0" compose vm0.yaml

say "4. A run: its events as they come"
"$vm0" run sales-report --artifact-name demo-report - <report.sh

say "5. What it left: a new version of the artifact"
mkdir out
cd out
"$vm0" artifact init -n demo-report
"$vm0" artifact pull
echo
cat report.md

if [ -n "${ANTHROPIC_API_KEY:-}" ]; then
    say "6. The same with Claude Code"
    "$vm0" image list --data-dir "$work/data" | grep -q '^vm0/claude-code' ||
        "$vm0" image build claude-code --data-dir "$work/data"
    cd "$work/examples/claude-code"
    "$vm0" compose vm0.yaml
    "$vm0" run file-worker --artifact-name demo-claude --secrets ANTHROPIC_API_KEY \
        "Write a haiku about sandboxes to haiku.md"
    mkdir out
    cd out
    "$vm0" artifact init -n demo-claude
    "$vm0" artifact pull
    cat haiku.md
else
    say "6. The same with Claude Code: ANTHROPIC_API_KEY=… make demo"
fi

say "Where to go next"
cat <<NEXT
  vm0 serve                 start a server that stays (see README.md, Everyday use)
  examples/                 three agents to begin with
  vm0 doctor                what this machine can enforce, and how to get the rest
NEXT
