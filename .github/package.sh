#!/usr/bin/env bash
# Builds every function for Lambda into target/lambda/<function>/ and checks that it can be loaded there:
#   bash .github/package.sh aarch64|x86_64
# Installs cargo-lambda, whose wheel brings the linker that can aim at an older C library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
arch=$1
glibc=2.34 # what provided.al2023 has
tools=target/fleet/cargo-lambda

[[ -x $tools/bin/cargo-lambda ]] || {
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet cargo-lambda==1.9.2
}
export PATH=$PWD/$tools/bin:$PATH

packages=()
for manifest in functions/*/Cargo.toml; do
    packages+=(--package "$(basename "$(dirname "$manifest")")")
done
rm -rf target/lambda
cargo lambda build --release --locked --target "$arch-unknown-linux-gnu.$glibc" "${packages[@]}"

# These functions render in a child process: its program lies beside them.
for function in documents-api documents-worker; do
    cp target/lambda/documents-render/bootstrap "target/lambda/$function/render"
done
rm -r target/lambda/documents-render

# Every symbol version that a binary asks of the C library, against what Lambda has.
for binary in target/lambda/*/*; do
    wants=$(objdump -T "$binary" | grep -oP 'GLIBC_\K[0-9.]+' | sort -V | tail -n 1 || true)
    if [[ $(printf '%s\n' "$glibc" "$wants" | sort -V | tail -n 1) != "$glibc" ]]; then
        echo "$binary needs glibc $wants; Lambda has $glibc" >&2
        exit 1
    fi
    printf '%-45s %8s KiB  glibc %s\n' "$binary" "$(($(stat -c %s "$binary") / 1024))" "$wants"
done
