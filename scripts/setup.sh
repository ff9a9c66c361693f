#!/usr/bin/env bash
# Installs what building, testing and running vm0 needs on Debian 12 and 13; says what to install elsewhere.
# Idempotent: a second run installs nothing and takes a second.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PACKAGES=(
    gcc g++ libc6-dev pkg-config mold e2fsprogs runc mmdebstrap npm git curl jq ca-certificates python3-venv
    chromium chromium-driver
)
readonly RUNSC_MIN=20240101
readonly SCHEMATHESIS=4.32.5

say() { printf '%s\n' "$*" >&2; }

elsewhere() {
    say "make setup knows Debian 12 and 13; this is ${PRETTY_NAME:-an unknown system}. Please install:"
    say "  Rust (stable, rustup.rs), C and C++ compilers with the static C library (libc.a), mold, e2fsprogs, git, curl, jq"
    say "  runsc from 2024 or later (gvisor.dev/docs/user_guide/install) and runc 1.1 or later"
    say "  python3 with venv, then: python3 -m venv target/schemathesis && target/schemathesis/bin/pip install schemathesis==$SCHEMATHESIS"
    say "  chromium and its chromedriver, for the test of the pages"
    say "  mmdebstrap and npm, only for 'vm0 image build'"
    exit 1
}

# The date stamp in `runsc version release-20240729.0` or `0.0~20240729.0`; 0 without runsc.
runsc_date() {
    command -v runsc >/dev/null || { echo 0; return; }
    runsc --version | grep -oE '20[0-9]{6}' | head -n 1 || echo 0
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing_packages() {
    local package
    for package in "${PACKAGES[@]}"; do
        case "$package" in
            # The programs count, whoever installed them.
            npm) command -v npm >/dev/null && continue ;;
        esac
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

# runsc of Debian 13, from the mirror this machine already uses, and nothing else from that release.
install_runsc() {
    local mirror=
    if [ "${VERSION_CODENAME}" != trixie ]; then
        mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(CREATED_BY)' |
            awk -v release="${VERSION_CODENAME}" '$2 == release && $3 == "Packages" { print $1; exit }')
        [ -n "$mirror" ] || { say "no apt source for ${VERSION_CODENAME} found; add Debian's own first"; exit 1; }
        as_root tee /etc/apt/sources.list.d/vm0-runsc.sources >/dev/null <<SOURCE
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCE
        as_root tee /etc/apt/preferences.d/vm0-runsc >/dev/null <<PIN
Package: *
Pin: release n=trixie
Pin-Priority: -10

Package: runsc
Pin: release n=trixie
Pin-Priority: 990
PIN
        as_root apt-get update -q
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends runsc
}

# Drives the API by its own description (crates/server/tests/schemathesis.rs).
install_schemathesis() {
    local home=target/schemathesis
    [ "$("$home/bin/schemathesis" --version 2>/dev/null | grep -oE '[0-9.]+$')" = "$SCHEMATHESIS" ] && return
    say "installing schemathesis $SCHEMATHESIS in $home"
    rm -rf "$home"
    # That of the system: one made by a version manager may lack ensurepip, or go away.
    /usr/bin/python3 -m venv "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$SCHEMATHESIS"
}

[ -r /etc/os-release ] && . /etc/os-release
case "${ID:-}-${VERSION_ID:-}" in
    debian-12 | debian-13) ;;
    *) elsewhere ;;
esac
command -v cargo >/dev/null || { say "Rust is missing: install it from rustup.rs, then run make setup again"; exit 1; }

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
    say "installing: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
[ "$(runsc_date)" -ge "$RUNSC_MIN" ] || install_runsc
[ "$(runsc_date)" -ge "$RUNSC_MIN" ] || { say "runsc is older than $RUNSC_MIN after the installation"; exit 1; }
if ! command -v cargo-deny >/dev/null; then
    say "installing cargo-deny"
    cargo install --locked --quiet cargo-deny
fi
install_schemathesis
say "set-up complete: $(runsc --version | head -n 1), $(runc --version | head -n 1)"
