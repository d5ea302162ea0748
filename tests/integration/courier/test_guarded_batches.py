"""Batches on a guarded store: each kind of process is its own user there, and none wants more than it may."""

import base64
from pathlib import Path

from openai import OpenAI

from cli.keyholder import Keyholder
from courier.batches.clerk import Clerk
from shared.settings import BatchSettings, ModelSettings, RedisSettings, ResultSettings, Settings
from tests.api_server import ApiServer
from tests.http_caller import GENERATIONS
from tests.integration.courier.test_batches import EDITS, jsonl, line
from tests.odd_pictures import plain
from tests.played_worker import PlayedWorker
from tests.store_server import StoreServer
from tests.waiting import wait_until


def test_each_process_has_the_rights_that_batches_need(tmp_path: Path, catalogue: Path) -> None:
    def settings(redis: RedisSettings) -> Settings:
        return Settings(
            redis=redis,
            models=ModelSettings(catalogue=catalogue),
            results=ResultSettings(urls=str(tmp_path / "objects")),
            batches=BatchSettings(look_s=0.05),
        )

    (tmp_path / "store").mkdir()
    with StoreServer(tmp_path / "store", "guarded:") as store:
        salt = settings(store.settings("api")).api.owner_salt.get_secret_value().encode()
        key = Keyholder(store.settings("operator"), salt).create("a test's").text
        worker = PlayedWorker(settings(store.settings("worker")))
        worker.takes_low = True
        worker.beat()
        clerk = Clerk(settings(store.settings("courier")))
        clerk.start()
        with ApiServer(settings(store.settings("api"))) as api, worker.serving():
            client = OpenAI(base_url=f"{api.url}/v1", api_key=key, max_retries=0)
            picture = f"data:image/png;base64,{base64.b64encode(plain()).decode()}"
            edits = jsonl([line("edit", EDITS, images=[{"image_url": picture}])])
            drawn = jsonl([line("a"), line("b", response_format="url"), line("c", n=99)])
            for endpoint, content, failed in ((EDITS, edits, 0), (GENERATIONS, drawn, 1)):
                file = client.files.create(file=("lines.jsonl", content), purpose="batch")
                batch = client.batches.create(
                    input_file_id=file.id,
                    endpoint=endpoint,  # type: ignore[arg-type]
                    completion_window="24h",
                )
                wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", 20, "the batch")  # noqa: B023
                counts = client.batches.retrieve(batch.id).request_counts
                assert counts is not None
                assert counts.failed == failed
            cancelled = client.batches.create(
                input_file_id=file.id, endpoint=GENERATIONS, completion_window="24h"
            )
            client.batches.cancel(cancelled.id)
            wait_until(lambda: client.batches.retrieve(cancelled.id).status == "cancelled", 20, "its end")
            assert next(iter(client.batches.list())).id == cancelled.id
            for each in client.files.list():
                client.files.content(each.id)
                client.files.delete(each.id)
        clerk.stop()
        worker.close()

        assert store.refusals() == []
