"""Where objects lie: a folder here; tests/integration has a server that speaks S3."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.objects import ObjectUnavailable, open_store
from shared.settings import ResultSettings


def test_without_a_place_there_is_no_store() -> None:
    assert open_store(ResultSettings()) is None


async def test_what_is_written_to_a_folder_is_read_streamed_and_deleted(tmp_path: Path) -> None:
    store = open_store(ResultSettings(urls=str(tmp_path / "results")))
    assert store is not None
    (tmp_path / "big").write_bytes(b"12" * 1_500_000)
    store.put("pictures/a-0.png", b"a picture", "image/png")
    store.put("files/big.jsonl", tmp_path / "big", "application/jsonl")
    assert store.read("pictures/a-0.png") == b"a picture"
    assert store.size_bytes("files/big.jsonl") == 3_000_000
    chunks = [chunk async for chunk in store.stream("files/big.jsonl")]
    assert len(chunks) > 1
    assert b"".join(chunks) == b"12" * 1_500_000
    assert (tmp_path / "results/pictures/a-0.png").read_bytes() == b"a picture"
    store.delete(["pictures/a-0.png", "pictures/never-was.png"])
    with pytest.raises(FileNotFoundError):
        store.read("pictures/a-0.png")
    with pytest.raises(FileNotFoundError):
        [chunk async for chunk in store.stream("pictures/a-0.png")]


def test_a_folder_signs_no_addresses(tmp_path: Path) -> None:
    store = open_store(ResultSettings(urls=str(tmp_path)))
    assert store is not None
    assert store.signed("pictures/a-0.png", 60) is None


def test_what_can_be_no_folder_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"results\.urls"):
        open_store(ResultSettings(urls=str(tmp_path / "file" / "results")))


@pytest.mark.parametrize("urls", ["results", "./results", "https://pictures.example", "s4://bucket"])
def test_another_place_is_refused(urls: str) -> None:
    with pytest.raises(ValueError, match="whole path"):
        ResultSettings(urls=urls)


def test_an_address_names_the_public_server_and_expires() -> None:
    settings = ResultSettings(
        urls="s3://pictures/darkroom",
        s3_endpoint="http://inside:9000",
        s3_public_endpoint="https://pictures.example",
        s3_access_key_id=SecretStr("id"),
        s3_secret_access_key=SecretStr("secret"),
    )
    store = open_store(settings)
    assert store is not None
    address = store.signed("a/b-0.png", 600.0)
    assert address is not None
    assert address.startswith("https://pictures.example/pictures/darkroom/a/b-0.png?")
    assert "X-Amz-Expires=600" in address
    assert "secret" not in address


def test_a_server_that_is_not_there_is_said_without_its_words() -> None:
    settings = ResultSettings(
        urls="s3://pictures",
        s3_endpoint="http://127.0.0.1:9",
        s3_access_key_id=SecretStr("id"),
        s3_secret_access_key=SecretStr("secret"),
        timeout_s=1,
    )
    store = open_store(settings)
    assert store is not None
    with pytest.raises(ObjectUnavailable) as error:
        store.put("a", b"b", "text/plain")
    assert "127.0.0.1" not in error.value.message
