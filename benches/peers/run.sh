#!/bin/sh
# Sets up every rival, builds the race and runs it; arguments go to the program (--help lists them).
# What cannot be set up is said by name, and the race is run without it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${RITORNELLO_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/ritornello-peers}
python=$cache/venv/bin/python
shims=$cache/shims
mkdir -p "$shims"

say() { echo "peers: $*" >&2; }

# Debian's headers for the contestants in C++.
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    for package in g++ libeigen3-dev libdnnl-dev; do
        dpkg -s "$package" >/dev/null 2>&1 || apt-get install -y "$package" >&2 \
            || say "$package cannot be installed"
    done
fi

# Python's, pinned, in an environment of their own; one that fails does not stop the others.
[ -x "$python" ] || python3 -m venv "$cache/venv" || say "no Python environment"
if ! cmp -s "$here/requirements.txt" "$cache/installed.txt"; then
    if "$python" -m pip install -q -r "$here/requirements.txt" >&2; then
        cp "$here/requirements.txt" "$cache/installed.txt"
    else
        while read -r package; do
            "$python" -m pip install -q "$package" >&2 || say "$package cannot be installed"
        done <"$here/requirements.txt"
    fi
fi

# shim NAME SOURCE FLAGS...: a shared object that speaks shims/peer.h, built anew if it must be.
shim() {
    object=$shims/libpeer-$1.so
    source=$here/shims/$2
    shift 2
    if [ "$object" -nt "$source" ] && [ "$object" -nt "$here/shims/peer.h" ] \
        && [ "$object" -nt "$cache/installed.txt" ]; then return; fi
    rm -f "$object"
    g++ -std=c++17 -O3 -march=native -DNDEBUG -shared -fPIC -fvisibility=hidden -fno-gnu-unique \
        "$source" -o "$object" "$@" || say "$(basename "$object") cannot be built"
}
venv=$cache/venv
shim eigen eigen.cpp -I/usr/include/eigen3 -DEIGEN_STACK_ALLOCATION_LIMIT=0 \
    '-DPEER_FLAGS="-O3 -march=native"'
shim onednn-debian onednn.cpp -fopenmp -ldnnl
if [ -e "$venv/lib/libdnnl.so" ]; then
    shim onednn onednn.cpp -fopenmp -I"$venv/include" -L"$venv/lib" -ldnnl "-Wl,-rpath,$venv/lib"
fi

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
cargo build --release --locked --manifest-path "$root/Cargo.toml" -p ritornello-cli
cargo build --release --locked --manifest-path "$here/Cargo.toml"
cd "$root"
exec "$CARGO_TARGET_DIR/release/peers" --shims "$shims" --python "$python" \
    --script "$here/peers.py" --cli "$CARGO_TARGET_DIR/release/ritornello" \
    --record "$root/benches/record" "$@"
