"""Which model a request gets, and what is said of each."""

from pathlib import Path

import pytest

from shared.printable import printable
from tests.http_caller import ASYNC, assert_error
from tests.integration.conftest import Serve, Service
from tests.tiny_models import write_catalogue
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("", "tiny"),
        ("tiny", "tiny"),
        ("small", "tiny"),
        ("studio/Tiny-1", "tiny"),
        ("plain", "plain"),
        ("TINY", "tiny"),
        ("Small", "tiny"),
        ("STUDIO/tiny-1", "tiny"),
        ("dall-e-2", "tiny"),
        ("dall-e-3", "tiny"),
        ("DALL-E-3", "tiny"),
        ("gpt-image-1", "tiny"),
        ("gpt-image-1-mini", "tiny"),
        ("gpt-image-1.5", "tiny"),
        ("gpt-image-2", "tiny"),
        ("gpt-image-2-2026-04-21", "tiny"),
        ("chatgpt-image-latest", "tiny"),
    ],
)
def test_a_request_is_served_by_the_model_it_names(automatic: Service, asked: str, served: str) -> None:
    answer = automatic.caller.generate(model=asked)

    assert answer.status_code == 200
    assert answer.headers["x-model"] == served
    assert automatic.caller.job(answer.headers["x-job-id"])["model"] == served


@pytest.mark.parametrize(
    "asked",
    ["dall-e", "gpt-4o", "gpt-image-", "my-gpt-image-1", " tiny", "random ", "../tiny", "🦢", "tiny\u200b"],
)
def test_an_unknown_model_is_a_404_that_lists_the_names(automatic: Service, asked: str) -> None:
    message = assert_error(automatic.caller.generate(model=asked), 404, "model_not_found", param="model")

    assert printable(asked) in message
    assert message.endswith("tiny, plain.")


@pytest.mark.parametrize(
    ("fields", "only"),
    [
        ({"background": "transparent"}, "tiny"),
        ({"negative_prompt": "blurred"}, "tiny"),
        ({"size": "4096x4096"}, "plain"),
    ],
    ids=str,
)
def test_random_picks_a_model_that_can_serve_this_very_request(
    automatic: Service, fields: dict[str, str], only: str
) -> None:
    answers = [automatic.caller.generate(model="random", **fields) for _ in range(8)]

    assert {automatic.caller.job(answer.headers["x-job-id"])["model"] for answer in answers} == {only}


@pytest.mark.parametrize("asked", ["random", "RANDOM"])
def test_random_picks_among_all_that_can(automatic: Service, asked: str) -> None:
    models = {automatic.caller.job(automatic.caller.submit(model=asked))["model"] for _ in range(40)}

    assert models == {"tiny", "plain"}


def test_random_picks_a_model_whose_worker_lives(serve: Serve) -> None:
    service = serve(models=("plain",))

    assert {service.caller.job(service.caller.submit(model="random"))["model"] for _ in range(8)} == {"plain"}


def test_random_without_any_worker_says_so(serve: Serve) -> None:
    service = serve(models=())

    assert_error(service.caller.generate(model="random"), 503, "no_worker", kind="server_error")


def test_a_request_no_model_can_serve_says_what_to_change(automatic: Service) -> None:
    answer = automatic.caller.generate(model="random", size="4096x4096", background="transparent")

    assert_error(answer, 400, "unsupported_value", param="background")


def test_the_models_are_listed_in_openais_shape_the_default_first(automatic: Service) -> None:
    body = automatic.caller.http.get("/v1/models").json()

    assert set(body) == {"object", "data"}
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["tiny", "plain"]
    assert [model["default"] for model in body["data"]] == [True, False]
    for model in body["data"]:
        assert (model["object"], model["owned_by"]) == ("model", "darkroom")
        assert isinstance(model["created"], int)
        assert model["ready"] is True


@pytest.mark.parametrize("name", ["tiny", "small", "studio/Tiny-1", "TINY", "Studio/TINY-1", "gpt-image-1"])
def test_a_model_says_what_it_can_do_under_each_of_its_names(automatic: Service, name: str) -> None:
    model = automatic.caller.http.get(f"/v1/models/{name}").json()

    assert model["id"] == "tiny"
    assert model["aliases"] == ["small", "studio/Tiny-1"]
    assert (model["transparent"], model["negative_prompt"]) == (True, True)
    assert model["steps"] == {"low": 2, "medium": 4, "high": 6}
    assert (model["sizes"]["max_side_px"], model["sizes"]["max_aspect"]) == (2048, 4)
    assert model["licence"] == "Apache-2.0"


def test_an_unknown_model_has_no_page(automatic: Service) -> None:
    answer = automatic.caller.http.get("/v1/models/sdxl")

    assert assert_error(answer, 404, "model_not_found", param="model").endswith("tiny, plain.")


def test_a_model_without_a_worker_is_listed_as_not_ready(serve: Serve) -> None:
    service = serve(models=("plain",))

    models = service.caller.http.get("/v1/models").json()["data"]
    assert {model["id"]: model["ready"] for model in models} == {"tiny": False, "plain": True}


def way(**modes: tuple[str, ...]) -> dict[str, object]:
    """How a worker runs a model, as it says it."""
    return {
        stage: {"modes": list(modes.get(stage, ())), "images": 4} for stage in ("text", "denoise", "decode")
    }


def test_a_model_says_how_live_workers_run_it_each_way_once(service: Service) -> None:
    usual, rare, before = way(denoise=("compile", "graph")), way(decode=("contiguous",)), way()
    store = service.worker.store

    def said() -> dict[str, object]:
        models = service.caller.http.get("/v1/models").json()["data"]
        return {model["id"]: model["runs_as"] for model in models}

    assert said() == {"tiny": [], "plain": []}
    store.renew("rare", ["tiny", "plain"], [], {"runs_as": {"tiny": rare, "plain": {"text": "later words"}}})
    for name in ("one", "two"):
        store.renew(name, ["tiny"], [], {"runs_as": {"tiny": usual, "unknown": usual}})
    store.renew("old", ["tiny"], [], {"device": "cpu"})
    store.renew("dead", ["tiny"], [], {"runs_as": {"tiny": before}})
    service.worker.client.zadd(store.keys.serving("tiny"), {"dead": 0})

    wait_until(lambda: said()["tiny"], what="the answer to be asked for again")
    assert said() == {"tiny": [usual, rare], "plain": []}
    assert service.caller.http.get("/v1/models/SMALL").json()["runs_as"] == [usual, rare]


def test_openais_names_are_no_models_where_the_operator_says_so(serve: Serve) -> None:
    service = serve(model_settings={"aliases_for_openai": False})

    for asked in ("gpt-image-1", "dall-e-3"):
        assert_error(service.caller.generate(model=asked), 404, "model_not_found", param="model")
        answer = service.caller.http.get(f"/v1/models/{asked}")
        assert_error(answer, 404, "model_not_found", param="model")


def test_a_name_of_the_catalogue_wins_over_openais(serve: Serve, tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path, tiny={}, plain={"aliases": ["GPT-Image-2"], "transparent": False})
    service = serve(model_settings={"catalogue": catalogue})

    drawn = {
        asked: service.caller.generate(ASYNC, model=asked).headers["x-model"]
        for asked in ("gpt-image-2", "gpt-image-1")
    }

    assert drawn == {"gpt-image-2": "plain", "gpt-image-1": "tiny"}


def test_openais_names_are_not_listed_as_models(automatic: Service) -> None:
    body = automatic.caller.http.get("/v1/models").text

    assert "gpt-image" not in body
    assert "dall-e" not in body
