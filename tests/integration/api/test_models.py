"""Which model a request gets, and what is said of each."""

import pytest

from tests.http_caller import assert_error
from tests.integration.conftest import Serve, Service


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("", "tiny"),
        ("tiny", "tiny"),
        ("small", "tiny"),
        ("studio/Tiny-1", "tiny"),
        ("plain", "plain"),
    ],
)
def test_a_request_is_served_by_the_model_it_names(automatic: Service, asked: str, served: str) -> None:
    answer = automatic.caller.generate(model=asked)

    assert answer.status_code == 200
    assert automatic.caller.job(answer.headers["x-job-id"])["model"] == served


@pytest.mark.parametrize("asked", ["dall-e-3", "TINY", " tiny", "random ", "../tiny", "🦢", "tiny\u200b"])
def test_an_unknown_model_is_a_404_that_lists_the_names(automatic: Service, asked: str) -> None:
    message = assert_error(automatic.caller.generate(model=asked), 404, "model_not_found", param="model")

    assert asked in message
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


def test_random_picks_among_all_that_can(automatic: Service) -> None:
    models = {automatic.caller.job(automatic.caller.submit(model="random"))["model"] for _ in range(40)}

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


@pytest.mark.parametrize("name", ["tiny", "small", "studio/Tiny-1"])
def test_a_model_says_what_it_can_do_under_each_of_its_names(automatic: Service, name: str) -> None:
    model = automatic.caller.http.get(f"/v1/models/{name}").json()

    assert model["id"] == "tiny"
    assert model["aliases"] == ["small", "studio/Tiny-1"]
    assert (model["transparent"], model["negative_prompt"]) == (True, True)
    assert model["steps"] == {"low": 2, "medium": 4, "high": 6}
    assert (model["sizes"]["max_side_px"], model["sizes"]["max_aspect"]) == (2048, 4)
    assert model["licence"] == "Apache-2.0"


def test_an_unknown_model_has_no_page(automatic: Service) -> None:
    answer = automatic.caller.http.get("/v1/models/dall-e-3")

    assert assert_error(answer, 404, "model_not_found", param="model").endswith("tiny, plain.")


def test_a_model_without_a_worker_is_listed_as_not_ready(serve: Serve) -> None:
    service = serve(models=("plain",))

    models = service.caller.http.get("/v1/models").json()["data"]
    assert {model["id"]: model["ready"] for model in models} == {"tiny": False, "plain": True}
