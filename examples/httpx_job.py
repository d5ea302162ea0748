"""A picture without holding a call: submit, go away, come back. With httpx it reads the same.

python httpx_job.py [FILE]
"""

import base64
import os
import sys
import uuid
from pathlib import Path

import httpx2 as httpx

LIVE = ("queued", "running")

base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1").removesuffix("/v1")
headers = {"Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}"}
request = {"prompt": "Black Swan", "size": "1024x1024", "background": "transparent"}

# No answer takes longer than the 20 s that are asked for below.
with httpx.Client(base_url=base_url, headers=headers, timeout=30) as client:
    accepted = client.post(
        "/v1/images/generations",
        json=request,
        # With a key of its own, this call may be repeated until it is answered, and draws once.
        headers={"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())},
    ).raise_for_status()
    job = accepted.json()
    where = accepted.headers["Location"]

    while job["status"] in LIVE:
        # Answers as soon as the status changes, or after 20 s.
        job = client.get(where, headers={"Prefer": "wait=20"}).raise_for_status().json()
        print(job["status"], job["progress"], "%", job["eta_seconds"], "s to go")

    result = (
        client.get(f"{where}/result").raise_for_status().json()
    )  # a job that failed answers with its error

file = Path(sys.argv[1] if len(sys.argv) > 1 else "black-swan.png")
file.write_bytes(base64.b64decode(result["data"][0]["b64_json"]))
print(file)
