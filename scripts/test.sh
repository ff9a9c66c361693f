#!/usr/bin/env bash
# Every test of the workspace. Real sandboxes need root; the tests say so if they cannot have it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "the sandbox tests make mounts and namespaces: run 'sudo make test'" >&2
    exit 1
fi
# Images of the real agents, built once and kept for the next time.
export VM0_TEST_IMAGES="${VM0_TEST_IMAGES:-$PWD/target/test-images}"
cargo build --locked --workspace --all-targets
if command -v cargo-nextest >/dev/null; then
    exec cargo nextest run --locked --workspace
fi
exec cargo test --locked --workspace
