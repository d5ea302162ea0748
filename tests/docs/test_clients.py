"""Other people's clients send what they send by themselves, names and all, and get their pictures."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2
import openai
import pytest
import yaml
from openai.types import ImagesResponse

from cli.logs import tail
from cli.ports import LOOPBACK, free_port
from cli.processes import Child, Program
from tests.docs.installed import CLIENTS, OFFICIAL, python_with, told
from tests.e2e.test_examples import look, run
from tests.service import RunningService
from tests.waiting import wait_until

PNG: Final = ("PNG", "RGB")
DEPLOYMENT: Final = "the-service"
# The proxy does not start without a key, or with one that can be guessed.
PROXY_KEY: Final = f"sk-{secrets.token_hex(32)}"
# LiteLLM asks the network for prices otherwise.
QUIET: Final = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}

# Installing takes longer than any call.
pytestmark = pytest.mark.timeout(900)


def drawn(folder: Path) -> set[str]:
    """The models whose pictures are in the folder; each is a whole picture."""
    files = list(folder.glob("*.png"))
    assert {(look(file)[0], look(file)[2]) for file in files} == {PNG}
    return {file.stem for file in files}


@pytest.mark.parametrize("version", OFFICIAL)
def test_the_official_client(service: RunningService, tmp_path: Path, version: str) -> None:
    python = python_with(f"openai-{version}", f"openai=={version}")

    calls = told(run(service, tmp_path, python, CLIENTS / "official.py", tmp_path))

    assert {"status": 400, "code": "unsupported_endpoint"} in calls
    pictures = [call for call in calls if "model" in call]
    assert [call["pictures"] for call in pictures] == [1] * 5
    assert {call["url"] for call in pictures} == {None}
    assert drawn(tmp_path) == {"gpt-image-1", "dall-e-2", "dall-e-3"}
    assert look(tmp_path / "dall-e-2.png")[1] == (512, 512)


def test_the_official_client_for_javascript(
    service: RunningService, javascript: Path, tmp_path: Path
) -> None:
    calls = told(run(service, javascript, "node", "official.js", tmp_path))

    assert [call["pictures"] for call in calls] == [1] * 3
    assert drawn(tmp_path) == {"gpt-image-1", "dall-e-3"}


def test_the_ai_sdk(service: RunningService, javascript: Path, tmp_path: Path) -> None:
    calls = told(run(service, javascript, "node", "ai_sdk.js", tmp_path))

    assert [call["type"] for call in calls] == ["image/png"] * 4
    # Two pictures of dall-e-3 are two calls with one body at once: they are no repeats of each other.
    assert [call["different"] for call in calls] == [1, 1, 2, 2]
    assert all(call["tokens"] for call in calls)
    assert drawn(tmp_path) == {"gpt-image-1", "dall-e-3"}


def test_litellm_s_library(service: RunningService, litellm: Path, tmp_path: Path) -> None:
    calls = told(run(service, tmp_path, litellm, CLIENTS / "litellm_library.py", tmp_path))

    assert [call["pictures"] for call in calls] == [1] * 3
    assert drawn(tmp_path) == {"gpt-image-1", "dall-e-2", "dall-e-3"}


@contextmanager
def litellm_proxy(litellm: Path, service: RunningService, folder: Path) -> Iterator[str]:
    """LiteLLM's proxy before the service, as its users set it up; gives its address.

    One failure that it takes for a dead deployment is enough for a cool-down that outlasts the test.
    """
    deployment = {"model": "openai/tiny", "api_base": f"{service.url}/v1", "api_key": "none"}
    config = {
        "model_list": [{"model_name": DEPLOYMENT, "litellm_params": deployment}],
        "general_settings": {"master_key": PROXY_KEY},
        "router_settings": {"allowed_fails": 0, "cooldown_time": 600, "num_retries": 0},
    }
    program, config_file = litellm.parent / "litellm", folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = [program, "--config", config_file, "--host", LOOPBACK, "--port", port]
    child = Child(Program("litellm", tuple(map(str, command)), folder / "litellm.log", folder, QUIET))
    child.start()
    try:
        url = f"http://{LOOPBACK}:{port}"
        wait_until(lambda: _lives(url, child), 240, "LiteLLM's proxy")
        yield f"{url}/v1"
    finally:
        child.stop(10)


def _lives(url: str, child: Child) -> bool:
    assert child.running, tail(child.program.log)
    try:
        return httpx2.get(f"{url}/health/liveliness", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_litellm_s_proxy_does_not_take_what_the_service_lacks_for_its_death(
    service: RunningService, litellm: Path, tmp_path: Path
) -> None:
    with (
        litellm_proxy(litellm, service, tmp_path) as url,
        openai.OpenAI(base_url=url, api_key=PROXY_KEY, max_retries=0, timeout=60) as client,
    ):

        def draw() -> Path:
            return kept(client.images.generate(model=DEPLOYMENT, prompt="Black Swan"))

        def kept(answer: ImagesResponse) -> Path:
            assert answer.data
            assert answer.data[0].b64_json
            file = tmp_path / "swan.png"
            file.write_bytes(base64.b64decode(answer.data[0].b64_json))
            return file

        first = draw()
        assert look(first)[0] == "PNG"
        with pytest.raises(openai.BadRequestError, match="response_format"):
            client.images.generate(model=DEPLOYMENT, prompt="Black Swan", response_format="url")
        assert look(draw())[0] == "PNG"
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.edit(model=DEPLOYMENT, image=[first, first], prompt="A white swan")
        assert "unsupported_value" in str(refused.value.body)
        assert (
            look(kept(client.images.edit(model=DEPLOYMENT, image=first, prompt="A white swan")))[0] == "PNG"
        )

        assert look(draw())[0] == "PNG"


def test_langchain_s_wrapper_which_reads_addresses_alone(by_url: RunningService, tmp_path: Path) -> None:
    python = python_with("langchain", "langchain-community==0.4.2", f"openai=={OFFICIAL[-1]}")

    (call,) = told(run(by_url, tmp_path, python, CLIENTS / "langchain_wrapper.py", tmp_path))

    assert len(set(call["urls"])) == 2
    assert drawn(tmp_path) == {"langchain-0", "langchain-1"}
