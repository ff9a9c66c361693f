#!/usr/bin/env bash
# Runs every fuzz target for a while, on its seeds and on what earlier runs found; or, with a name,
# one target. Works on stable Rust: the flags are those of cargo-fuzz without a sanitizer, because
# what is fuzzed has no unsafe code. An input that breaks something is left in fuzz/artifacts/.
#
#   scripts/fuzz.sh [TARGET] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

readonly INGEST_SECONDS=60 OTHER_SECONDS=10
readonly TARGETS=(ingest manifest chunk part guest dns egress broker config)
# No more memory than a server may take for one request.
readonly MEMORY_MB=1024 INPUT_MAX=65536

host=$(rustc -vV | sed -n 's/^host: //p')
# With --target, build scripts and procedural macros are built without these.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Clink-dead-code -Cforce-frame-pointers"
cargo build --release --locked --target "$host"

run() {
    local target=$1 seconds=$2
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "fuzzing $target for $seconds s"
    "target/$host/release/$target" -max_total_time="$seconds" -rss_limit_mb="$MEMORY_MB" \
        -malloc_limit_mb="$MEMORY_MB" -max_len="$INPUT_MAX" -timeout=10 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" \
        2>"artifacts/$target/log" || { cat "artifacts/$target/log" >&2; exit 1; }
    grep -E 'number_of_executed_units|peak_rss_mb' "artifacts/$target/log"
}

if [ $# -gt 0 ]; then
    run "$1" "${2:-$OTHER_SECONDS}"
    exit
fi
for target in "${TARGETS[@]}"; do
    if [ "$target" = ingest ]; then run "$target" "$INGEST_SECONDS"; else run "$target" "$OTHER_SECONDS"; fi
done
