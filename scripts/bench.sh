#!/usr/bin/env bash
# Every figure of the README, measured here and now.
set -euo pipefail
exec "$1" bench start
