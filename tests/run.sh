#!/usr/bin/env bash
# Runs the tests on a machine that needs to have a Rust toolchain and nothing else: installs redis-server if it is
# missing, builds the examples that the tests start, then runs everything. Arguments go to `cargo test`:
#
#   tests/run.sh                        all tests, those of the documentation included
#   tests/run.sh --test suite harness:: one room
#
# TEST_REDIS_SERVER=/path/to/valkey-server tests/run.sh runs all of them on another server; nothing is installed then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'tests/run.sh: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "redis-server is missing and installing it needs root or sudo; install it and run this again"
    fi
}

install_redis() {
    if command -v apt-get >/dev/null; then
        # A package list of which one source is out of reach may still do.
        as_root apt-get update -qq || true
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server
    elif command -v dnf >/dev/null; then
        # Newer releases have Valkey instead, with a package that gives it Redis' command names.
        as_root dnf install -y -q redis || as_root dnf install -y -q valkey-compat-redis
    elif command -v apk >/dev/null; then
        as_root apk add --quiet redis
    elif command -v pacman >/dev/null; then
        as_root pacman -Sy --noconfirm --needed redis || as_root pacman -Sy --noconfirm --needed valkey
    elif command -v brew >/dev/null; then
        brew install --quiet redis
    else
        fail "redis-server is missing and there is none of apt-get, dnf, apk, pacman and brew to install it with"
    fi
}

command -v cargo >/dev/null || fail "cargo is missing: install a Rust toolchain (https://rustup.rs)"
if [ -n "${TEST_REDIS_SERVER:-}" ]; then
    # The tests run it in directories of their own.
    TEST_REDIS_SERVER=$(command -v "$TEST_REDIS_SERVER") || fail "TEST_REDIS_SERVER names no program that can be run"
    case $TEST_REDIS_SERVER in /*) ;; *) TEST_REDIS_SERVER=$PWD/$TEST_REDIS_SERVER ;; esac
    export TEST_REDIS_SERVER
    printf 'tests/run.sh: on %s\n' "$("$TEST_REDIS_SERVER" --version)" >&2
elif ! command -v redis-server >/dev/null; then
    install_redis >&2 || fail "redis-server could not be installed; install it by hand and run this again"
    command -v redis-server >/dev/null || fail "redis-server was installed but is not on the PATH"
fi

# The examples must come from the same build as the tests that start them.
same_build=()
for argument in "$@"; do
    case $argument in
        --) break ;;
        --release | -r | --profile=* | --locked | --offline | --frozen) same_build+=("$argument") ;;
    esac
done
# With a filter cargo would not build them by itself. (An empty array is an error to older bashes.)
cargo build --all-features --examples ${same_build[@]+"${same_build[@]}"}
cargo test --all-features --no-fail-fast "$@"
