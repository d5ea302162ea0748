"""Many pictures with the official client, drawn when nobody waits: one file in, one file out.

python openai_batch.py [FOLDER]
"""

import base64
import json
import os
import sys
import time
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)
birds = ("black swan", "white heron", "red robin")
lines = [
    {
        "custom_id": bird,
        "method": "POST",
        "url": "/v1/images/generations",
        "body": {"prompt": bird, "size": "512x512", "seed": 7},
    }
    for bird in birds
]
content = "\n".join(map(json.dumps, lines)).encode()

file = client.files.create(file=("birds.jsonl", content), purpose="batch")
batch = client.batches.create(
    input_file_id=file.id, endpoint="/v1/images/generations", completion_window="24h"
)
while batch.status not in {"completed", "failed", "expired", "cancelled"}:
    time.sleep(1)
    batch = client.batches.retrieve(batch.id)
print(batch.id, batch.status, batch.request_counts.completed, "of", batch.request_counts.total)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
if batch.output_file_id:
    for line in client.files.content(batch.output_file_id).iter_lines():
        answer = json.loads(line)
        picture = answer["response"]["body"]["data"][0]["b64_json"]
        (folder / f"{answer['custom_id'].replace(' ', '-')}.png").write_bytes(base64.b64decode(picture))
if batch.error_file_id:
    print(client.files.content(batch.error_file_id).text)
