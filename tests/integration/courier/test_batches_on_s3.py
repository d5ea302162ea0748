"""Files and batches whose bytes lie at an address of S3, by a server that speaks it."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from moto.server import ThreadedMotoServer
from openai import OpenAI
from pydantic import SecretStr

from shared.objects import ObjectStore, open_store
from shared.settings import ResultSettings
from tests.integration.conftest import Serve
from tests.integration.courier.test_batches import QUICK, Batching, line

MIB = 1024**2


@pytest.fixture(scope="module")
def s3() -> Iterator[ResultSettings]:
    """A bucket on a server that runs here."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    assert httpx2.put(f"{endpoint}/pictures", trust_env=False).status_code == 200
    yield ResultSettings(
        urls="s3://pictures/darkroom",
        s3_endpoint=endpoint,
        s3_access_key_id=SecretStr("id"),
        s3_secret_access_key=SecretStr("secret"),
    )
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    settings = ResultSettings(urls=str(tmp_path / "objects"))
    found = open_store(request.getfixturevalue("s3") if request.param == "s3" else settings)
    assert found is not None
    return found


@pytest.mark.parametrize("pieces", [1, 23], ids=["small", "several parts"])
async def test_an_object_is_there_when_its_writer_is_closed_and_not_before(
    objects: ObjectStore, pieces: int
) -> None:
    name = f"files/written-{pieces}"
    writer = objects.writer(name, "application/jsonl")
    for number in range(pieces):
        await writer.write(bytes([number]) * MIB)
    with pytest.raises(FileNotFoundError):
        objects.size_bytes(name)
    await writer.close()

    assert writer.size_bytes == objects.size_bytes(name) == pieces * MIB
    last = await objects.part(name, (pieces - 1) * MIB + 5, 10)
    assert last == bytes([pieces - 1]) * 10
    assert b"".join([chunk async for chunk in objects.stream(name)]) == b"".join(
        bytes([number]) * MIB for number in range(pieces)
    )


async def test_a_part_of_what_is_not_there_is_said(objects: ObjectStore) -> None:
    with pytest.raises(FileNotFoundError):
        await objects.part("files/never-was", 0, 10)


def test_a_batch_is_drawn_with_its_files_on_s3(serve: Serve, s3: ResultSettings) -> None:
    service = serve(results=s3.model_dump(), batches=QUICK)
    service.worker.takes_low = True
    service.worker.beat()
    with OpenAI(base_url=f"{service.api.url}/v1", api_key="key", max_retries=0) as client:
        batching = Batching(service, client)
        lines = [line(f"line {i}", seed=i) for i in range(10)]
        lines.append(line("by address", response_format="url", seed=99))
        with batching.clerk(), service.worker.serving():
            drawn = batching.drawn(batching.begin(lines))

        assert drawn.counts == (11, 11, 0)
        for i, each in enumerate(drawn.output[:10]):
            (image,) = each["response"]["body"]["data"]
            assert base64.b64decode(image["b64_json"]) == f"line {i} {i}".encode()
        (image,) = drawn.by_id["by address"]["response"]["body"]["data"]
        assert httpx2.get(image["url"], trust_env=False).content == b"by address 99"
