#!/bin/bash
# demo.sh [PHOTO]: smooths the example pictures (and PHOTO) into demo-out/, draws the sheet of them
# and says where they are.  demo.sh --docs draws docs/before_after.jpg instead.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=$root/build/mgpnet
sheet=$root/demo-out/sheet.png
photo=${1:-}
if [ "$photo" = --docs ]; then
  sheet=$root/docs/before_after.jpg
  photo=
fi

mkdir -p "$root/demo-out"
pairs=()
for picture in "$root"/examples/pictures/*.png ${photo:+"$photo"}; do
  name=$(basename -- "$picture")
  result=$root/demo-out/${name%.*}_smooth.png
  # A photo that is named like one of ours keeps its own name beside it.
  if [ "$picture" = "$photo" ] && [ -e "$root/examples/pictures/${name%.*}.png" ]; then
    result=$root/demo-out/${name%.*}_photo_smooth.png
  fi
  echo "smoothing $name"
  "$program" smooth "$picture" -o "$result" --exists overwrite -q
  pairs+=("$picture" "$result")
done
"$root/build/release/examples/before_after" "$sheet" "${pairs[@]}"

echo
echo "Smoothed pictures:         ${root}/demo-out/*_smooth.png"
echo "Before and after, a sheet: $sheet"
