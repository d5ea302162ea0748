"""Takes the webhooks of a service: verifies what comes, takes each event once, and fetches the picture.

WEBHOOK_SECRET=whsec_... python webhook_receiver.py [PORT]
"""

import base64
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import httpx2 as httpx
from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
api_key = os.environ.get("OPENAI_API_KEY", "none")
seen: set[str] = set()  # a real one keeps this where it survives a restart


class Receiver(BaseHTTPRequestHandler):
    """Answers within 10 s: what takes longer is done afterwards."""

    def do_POST(self) -> None:
        """Take an event."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            # The body as it came, before anything reads it. What is older than five minutes is refused too.
            event = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.send_response(400)
            self.end_headers()
            return
        self.send_response(204)
        self.end_headers()
        # At least once: the same event may come again, under the same id.
        if event["id"] not in seen:
            seen.add(event["id"])
            take(event)


def take(event: dict) -> None:
    """Do what is to be done when a job has ended."""
    job = event["data"]
    print(event["type"], job["id"], flush=True)
    if event["type"] == "job.succeeded":
        answer = httpx.get(
            urljoin(base_url, job["result_url"]), headers={"Authorization": f"Bearer {api_key}"}, timeout=30
        )
        (image, *_) = answer.raise_for_status().json()["data"]
        Path(f"{job['id']}.png").write_bytes(base64.b64decode(image["b64_json"]))
        print(f"{job['id']}.png", flush=True)


port = int(sys.argv[1] if len(sys.argv) > 1 else 9000)
ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
