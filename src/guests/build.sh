#!/usr/bin/env bash
# Builds the guest programs from C. The built files are in the repository: running Europa needs no compiler.
#
#   build.sh [FOLDER]     FOLDER defaults to bin/ beside this script; the same compiler gives the same bytes each time
#
# bin/toolchain.txt names the compiler and linker that the files in the repository were built with.
set -euo pipefail
shopt -s nullglob
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-$here/bin}" && cd "${1:-$here/bin}" && pwd)
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
cd "$here" # relative names only: no path of this machine may get into a file

# Baseline x86-64, general registers only: what an emulator at its very start can run.
code=(-std=gnu11 -O2 -ffreestanding -fno-stack-protector -fno-pic -fno-ident -fcf-protection=none
  -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -ffunction-sections -fdata-sections
  -march=x86-64 -mtune=generic -mgeneral-regs-only -Wall -Wextra -Werror -Iinclude)
link=(-nostdlib -static -no-pie -Wl,--gc-sections,--build-id=none,--strip-debug,--discard-locals
  -Wl,-z,max-page-size=4096,-z,noseparate-code,-z,noexecstack,-z,norelro,--no-warn-rwx-segments)

library=()
for source in lib/*.c; do
  object=$objects/$(basename "$source" .c).o
  gcc "${code[@]}" -c "$source" -o "$object"
  library+=("$object")
done

build_program() { # SOURCE [OBJECT…]
  local name
  name=$(basename "$1" .c)
  gcc "${code[@]}" -c "$1" -o "$objects/program.o"
  gcc "${link[@]}" "$objects/program.o" "${@:2}" "${library[@]}" -o "$out/$name"
}

for source in *.c workloads/*.c; do build_program "$source"; done

gcc "${code[@]}" -c verify/common.c -o "$objects/verify-common.o"
for source in verify/verify-*.c; do build_program "$source" "$objects/verify-common.o"; done

gcc "${code[@]}" -c scale/common.c -o "$objects/scale-common.o"
for source in scale/scale-*.c; do build_program "$source" "$objects/scale-common.o"; done

gcc "${code[@]}" -fPIC -fvisibility=hidden -c vdso/vdso.c -o "$objects/vdso.o"
gcc -nostdlib -shared -Wl,-T,vdso/vdso.lds,-soname,linux-vdso.so.1,--hash-style=both,--build-id=none,--strip-debug \
  -Wl,-z,max-page-size=4096,-z,noexecstack,-z,norelro,--no-undefined "$objects/vdso.o" -o "$out/vdso.so"

{ gcc --version | head -n 1; ld --version | head -n 1; } > "$out/toolchain.txt"
