#!/bin/bash
# gpu_train.sh PROGRAM: cuda/gpu_train, on the CPU: cut, carried in parts and gone on with, it ends as if it had not been.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PROGRAM=$1 DEVICE=cpu PAIRS=1
train=$(cd "$(dirname "$0")/../cuda" && pwd)/gpu_train
options=(--batch 1 --crop 64 -q)
"$train" "$work/whole" "${options[@]}" --iters 3 >/dev/null
TIME_LIMIT=0.001s "$train" "$work/cut" "${options[@]}" --iters 3 >"$work/card" 2>/dev/null
grep -q '| steps so far | 1 |' "$work/card" || { cat "$work/card"; echo "the time limit did not cut it"; exit 1; }
mv "$work/cut" "$work/carried"
[ -z "$(find "$work/carried" -size +15000000c)" ] || { echo "a file of more than 15 MB"; exit 1; }
[ "$(ls "$work/carried/state" | grep -c 'state\.part0[0-9]$')" -ge 3 ] || { ls -l "$work/carried/state"; exit 1; }
"$train" "$work/carried" "${options[@]}" --iters 3 >/dev/null
cmp "$work/whole/model.gguf" "$work/carried/model.gguf"
for part in "$work"/whole/state/*.part*; do cmp "$part" "$work/carried/state/$(basename "$part")"; done
grep -q '| steps so far | 3 |' "$work/carried/card.md"
echo "gpu_train: cut and carried, the same model"
