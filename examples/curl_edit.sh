#!/usr/bin/env bash
# A picture edited with curl: once all of it, once only what a mask lays open.
#
#   ./curl_edit.sh [FOLDER]
set -euo pipefail

base_url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}
folder=${1:-.}

# Asks, and writes the picture that comes back into a file: ask FILE ARGUMENTS-OF-CURL...
ask() {
  local file=$1 answer
  shift
  answer=$(curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --max-time 600 \
    -H "Authorization: Bearer ${OPENAI_API_KEY:-none}" -H "Idempotency-Key: $(date +%s)-$$-$RANDOM" "$@")
  python3 -c 'import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["data"][0]["b64_json"]))' \
    <<<"$answer" >"$file"
  echo "$file"
}

ask "$folder/apple.png" "$base_url/images/generations" \
  -H "Content-Type: application/json" -d '{"prompt": "a red apple", "background": "transparent"}'

# How much is drawn anew is strength, 0 to 1, which is ours; a file is known by what is in it, not by its name.
ask "$folder/pear.png" "$base_url/images/edits" \
  -F "image=@$folder/apple.png" -F "prompt=a green pear" -F "strength=0.9"

# What is transparent in a mask is drawn anew, and the rest stays as it was, to the pixel. This picture is its own
# mask: the apple stays, and what is around it is new.
ask "$folder/kept-apple.png" "$base_url/images/edits" \
  -F "image=@$folder/apple.png" -F "mask=@$folder/apple.png" -F "prompt=a red apple on a table"
