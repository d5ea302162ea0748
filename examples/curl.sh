#!/usr/bin/env bash
# A picture with curl: one held call, its base64 decoded into a file.
#
#   ./curl.sh [FILE]
set -euo pipefail

base_url=${OPENAI_BASE_URL:-http://127.0.0.1:8000/v1}
file=${1:-black-swan.png}

# The key makes a retry free: whatever happened to the first answer, the second call attaches to the same job.
# A call that is refused (429, 503) says in Retry-After when to come back, and curl keeps to it.
answer=$(curl --silent --show-error --fail-with-body "$base_url/images/generations" \
  --retry 5 --retry-connrefused --max-time 600 \
  -H "Authorization: Bearer ${OPENAI_API_KEY:-none}" \
  -H "Content-Type: application/json" \
  -H "Idempotency-Key: $(date +%s)-$$-$RANDOM" \
  -d '{"prompt": "Black Swan", "size": "1024x1024"}')

python3 -c 'import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["data"][0]["b64_json"]))' \
  <<<"$answer" >"$file"
echo "$file"
