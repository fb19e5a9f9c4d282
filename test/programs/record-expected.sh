#!/usr/bin/env bash
# Writes expected/NAME.ARG….txt: what a pkey program prints in real Linux on emulated hardware with protection keys.
#
#   record-expected.sh [NAME.ARG…] …      without arguments: all that are there already
#
# Each is run twice; output that differs between the runs is refused. Packages: see bench/linux-in-qemu.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if (($# == 0)); then
  for file in "$here"/expected/*.txt; do set -- "$@" "$(basename "$file" .txt)"; done
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
script=
for id in "$@"; do
  IFS=. read -r -a words <<< "$id"
  program=${words[0]}
  [[ -e $work/$program ]] || gcc -O2 -static -pthread -o "$work/$program" "$here/$program.c" -lm
  for run in 1 2; do
    script+="${words[*]} > /tmp/out 2> /dev/null; status=\$?; echo; echo '@@$run $id' \$status; cat /tmp/out; echo '@@end'"$'\n'
  done
done
"$root/bench/linux-in-qemu.sh" --cache "$root/.cache/linux-in-qemu" "$work"/* <<< "$script" > "$work.txt"
part() { awk -v mark="@@$1 $2" '/^@@end$/ { inside = 0 } inside { print } index($0, mark " ") == 1 { inside = 1 }' "$work.txt"; }
mkdir -p "$here/expected"
status=0
for id in "$@"; do
  if [[ $(part 1 "$id") == "$(part 2 "$id")" && -n $(part 1 "$id") ]]; then
    part 1 "$id" > "$here/expected/$id.txt"
    grep "^@@1 $id " "$work.txt" | sed 's/^@@1 /recorded /; s/ \([0-9]*\)$/, status \1/'
  else
    echo "record-expected: $id prints different things in two runs, or nothing" >&2
    status=1
  fi
done
rm -f "$work.txt"
exit $status
