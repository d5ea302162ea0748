"""Every field of the documented request: its default, its limits, and what is said beyond them."""

from typing import Any

import pytest

from shared.params import MAX_SEED
from tests.http_caller import Response, assert_error
from tests.integration.conftest import Serve, Service

OPTIONAL = (
    "background",
    "model",
    "moderation",
    "n",
    "output_compression",
    "output_format",
    "quality",
    "response_format",
    "size",
    "style",
    "user",
    "safety_identifier",
    "stream",
    "partial_images",
    "seed",
    "negative_prompt",
)

DEFAULTS = {
    "prompt": "a tiny picture",
    "negative_prompt": None,
    "background": "opaque",
    "n": 1,
    "output_compression": 95,
    "output_format": "png",
    "quality": "medium",
    "width": 512,
    "height": 512,
    "style": "vivid",
    "partial_images": 0,
    "moderation": "auto",
    "input_sizes": [],
    "masked": False,
    "strength": None,
    "input_fidelity": None,
    "stored": False,
}


def drawn(service: Service, answer: Response) -> dict[str, Any]:
    """What the worker was told to draw, without the seed."""
    assert answer.status_code == 200, answer.text
    params = service.worker.drawn[answer.headers["x-job-id"]].model_dump(mode="json")
    del params["seed"]
    return params


def test_a_prompt_alone_takes_every_documented_default(automatic: Service) -> None:
    answer = automatic.caller.generate()

    assert drawn(automatic, answer) == DEFAULTS
    assert automatic.caller.job(answer.headers["x-job-id"])["model"] == "tiny"


@pytest.mark.parametrize("field", OPTIONAL)
def test_an_optional_field_may_be_null_and_takes_its_default(automatic: Service, field: str) -> None:
    answer = automatic.caller.generate(**{field: None})

    assert drawn(automatic, answer) == DEFAULTS
    assert "x-ignored-fields" not in answer.headers


def test_all_optional_fields_may_be_null_together(automatic: Service) -> None:
    assert drawn(automatic, automatic.caller.generate(**dict.fromkeys(OPTIONAL))) == DEFAULTS


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"background": "auto"}, {"background": "opaque"}),
        ({"background": "opaque"}, {"background": "opaque"}),
        ({"background": "transparent"}, {"background": "transparent"}),
        (
            {"background": "transparent", "output_format": "webp"},
            {"background": "transparent", "output_format": "webp"},
        ),
        ({"moderation": "low"}, {"moderation": "low"}),
        ({"moderation": "auto"}, {}),
        ({"n": 1}, {"n": 1}),
        ({"n": 4}, {"n": 4}),
        ({"n": 2.0}, {"n": 2}),
        (
            {"output_compression": 0, "output_format": "jpeg"},
            {"output_compression": 0, "output_format": "jpeg"},
        ),
        (
            {"output_compression": 100, "output_format": "webp"},
            {"output_compression": 100, "output_format": "webp"},
        ),
        ({"output_compression": 95, "output_format": "png"}, {"output_compression": 95}),
        ({"output_compression": 10, "output_format": "png"}, {"output_compression": 10}),
        ({"quality": "auto"}, {"quality": "medium"}),
        ({"quality": "low"}, {"quality": "low"}),
        ({"quality": "high"}, {"quality": "high"}),
        ({"response_format": "b64_json"}, {}),
        ({"size": "auto"}, {"width": 512, "height": 512}),
        ({"size": "64x64"}, {"width": 64, "height": 64}),
        ({"size": "1024x256"}, {"width": 1024, "height": 256}),
        ({"size": "72x88"}, {"width": 72, "height": 88}),
        ({"size": "4096x4096", "model": "plain"}, {"width": 4096, "height": 4096}),
        ({"style": "natural"}, {"style": "natural"}),
        ({"quality": "standard"}, {"quality": "medium"}),
        ({"quality": "hd"}, {"quality": "high"}),
        ({"quality": "xhigh"}, {"quality": "high"}),
        ({"quality": " Max\n"}, {"quality": "high"}),
        ({"quality": "LOW"}, {"quality": "low"}),
        ({"size": "AUTO"}, {}),
        ({"size": " 1024X256\r\n"}, {"width": 1024, "height": 256}),
        ({"background": "Transparent"}, {"background": "transparent"}),
        ({"moderation": "LOW"}, {"moderation": "low"}),
        ({"output_format": "\tJPEG"}, {"output_format": "jpeg"}),
        ({"response_format": "B64_JSON"}, {}),
        ({"style": "NATURAL "}, {"style": "natural"}),
        ({"seed": -1}, {}),
        ({"seed": -1.0}, {}),
        ({"negative_prompt": ""}, {}),
        ({"negative_prompt": "", "model": "plain"}, {}),
        ({"safety_identifier": "u" * 256}, {}),
        ({"user": "u" * 256}, {}),
        ({"user": ""}, {}),
        ({"negative_prompt": "blurred"}, {"negative_prompt": "blurred"}),
        ({"stream": False, "partial_images": 3}, {}),
    ],
    ids=str,
)
def test_a_valid_value_reaches_the_worker(
    automatic: Service, fields: dict[str, Any], told: dict[str, Any]
) -> None:
    assert drawn(automatic, automatic.caller.generate(**fields)) == {**DEFAULTS, **told}


INVALID: list[tuple[str, Any]] = [
    ("prompt", None),
    ("prompt", ""),
    ("prompt", "   "),
    ("prompt", "\n\t\u00a0\u3000"),
    ("prompt", "a" * 32_001),
    ("prompt", 5),
    ("prompt", ["a"]),
    ("prompt", "null\x00byte"),
    ("prompt", "escape \x1b[31m"),
    ("prompt", "delete \x7f"),
    ("prompt", "next line \x85"),
    ("prompt", "form feed \x0c"),
    ("background", "green"),
    ("background", True),
    ("model", 5),
    ("model", "m" * 257),
    ("model", "control \x07"),
    ("moderation", "none"),
    ("n", 0),
    ("n", -1),
    ("n", 5),
    ("n", 10**30),
    ("n", 1.5),
    ("n", "2"),
    ("n", True),
    ("n", [1]),
    ("output_compression", -1),
    ("output_compression", 101),
    ("output_compression", "95"),
    ("output_format", "gif"),
    ("quality", "best"),
    ("quality", "l o w"),
    ("moderation", "\u212aow"),
    ("style", "\u3000vivid"),
    ("quality", 1),
    ("response_format", "base64"),
    ("size", "512"),
    ("size", "512x"),
    ("size", "x512"),
    ("size", "512 x 512"),
    ("size", "512x512\u00a0"),
    ("size", "0512x512"),
    ("size", "-64x64"),
    ("size", "１２８x１２８"),  # noqa: RUF001 - digits, but not ASCII
    ("size", "56x64"),
    ("size", "64x56"),
    ("size", "65x64"),
    ("size", "64x65"),
    ("size", "4104x64"),
    ("size", "64x4104"),
    ("size", "99999x99999"),
    ("size", 512),
    ("style", "dark"),
    ("user", "u" * 257),
    ("user", 5),
    ("safety_identifier", "u" * 257),
    ("safety_identifier", 5),
    ("stream", "yes"),
    ("stream", 1),
    ("partial_images", -1),
    ("partial_images", 4),
    ("seed", -2),
    ("seed", "-1"),
    ("seed", MAX_SEED + 1),
    ("seed", 1.5),
    ("seed", "1"),
    ("negative_prompt", "a" * 32_001),
    ("negative_prompt", "\x00"),
]


@pytest.mark.parametrize(
    ("field", "value"), INVALID, ids=[f"{name}-{value!r:.24}" for name, value in INVALID]
)
def test_an_invalid_value_is_a_422_that_names_the_field(
    automatic: Service, field: str, value: object
) -> None:
    answer = automatic.caller.generate(**{field: value})

    message = assert_error(answer, 422, "invalid_value", param=field)
    assert message.startswith(f"{field}: ")
    (problem,) = answer.json()["detail"]
    assert set(problem) == {"loc", "msg", "type"}
    assert problem["loc"] == ["body", field]
    assert problem["msg"] in message


def test_a_missing_prompt_is_a_422_that_names_it(automatic: Service) -> None:
    answer = automatic.caller.http.post("/v1/images/generations", json={"n": 1})

    assert_error(answer, 422, "invalid_value", param="prompt")
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "prompt"]]


def test_every_invalid_field_is_in_the_detail(automatic: Service) -> None:
    answer = automatic.caller.generate(n=0, size="1x1", style="dark")

    assert {problem["loc"][1] for problem in answer.json()["detail"]} == {"n", "size", "style"}


def test_transparent_jpeg_is_a_422_whatever_the_order_of_the_fields(automatic: Service) -> None:
    first = automatic.caller.generate(background="transparent", output_format="jpeg")
    second = automatic.caller.generate(output_format="jpeg", background="transparent")

    for answer in (first, second):
        assert "jpeg" in assert_error(answer, 422, "invalid_value", param="background")


def test_an_unknown_field_is_ignored_and_named(automatic: Service) -> None:
    answer = automatic.caller.generate(promt="a typo", steps=3, **{"naïve": 1, "a,b": 2, "line\nbreak": 3})

    assert drawn(automatic, answer) == DEFAULTS
    assert answer.headers["x-ignored-fields"] == "promt, steps"


def test_a_job_that_is_not_waited_for_names_ignored_fields_too(automatic: Service) -> None:
    answer = automatic.caller.generate({"Prefer": "respond-async"}, promt="a typo")

    assert (answer.status_code, answer.headers["x-ignored-fields"]) == (202, "promt")


@pytest.mark.parametrize("field", ["image", "mask", "input_fidelity"])
def test_a_field_that_would_change_the_picture_and_cannot_be_honoured_is_refused(
    automatic: Service, field: str
) -> None:
    answer = automatic.caller.generate(**{field: "high"})

    assert field in assert_error(answer, 400, "unsupported_parameter", param=field)


@pytest.mark.parametrize("field", ["image", "mask", "input_fidelity"])
def test_such_a_field_that_is_null_asks_for_nothing(automatic: Service, field: str) -> None:
    answer = automatic.caller.generate(**{field: None})

    assert drawn(automatic, answer) == DEFAULTS
    assert answer.headers["x-ignored-fields"] == field


def test_a_url_is_a_valid_response_format_that_is_not_supported(automatic: Service) -> None:
    answer = automatic.caller.generate(response_format="url")

    assert "b64_json" in assert_error(answer, 400, "unsupported_value", param="response_format")


@pytest.mark.parametrize("size", ["4096x4096", "2056x2048", "2048x64", "64x2048"])
def test_a_size_beyond_the_model_names_the_models_that_can(automatic: Service, size: str) -> None:
    answer = automatic.caller.generate(model="tiny", size=size)

    message = assert_error(answer, 400, "unsupported_value", param="size")
    assert size in message
    assert message.endswith("plain." if size in {"4096x4096", "2056x2048"} else "none.")


def test_a_background_beyond_the_model_names_the_models_that_can(automatic: Service) -> None:
    answer = automatic.caller.generate(model="plain", background="transparent")

    assert assert_error(answer, 400, "unsupported_value", param="background").endswith("tiny.")


def test_a_negative_prompt_beyond_the_model_names_the_models_that_can(automatic: Service) -> None:
    answer = automatic.caller.generate(model="plain", negative_prompt="blurred")

    assert assert_error(answer, 400, "unsupported_value", param="negative_prompt").endswith("tiny.")


def test_the_limit_of_n_is_a_setting(serve: Serve) -> None:
    service = serve(api={"max_n": 10})
    with service.worker.serving():
        most = service.caller.generate(n=10)
        more = service.caller.generate(n=11)

    assert len(most.json()["data"]) == 10
    assert_error(more, 422, "invalid_value", param="n")
    schemas = service.caller.http.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["GenerationRequest"]["properties"]["n"]["anyOf"][0]["maximum"] == 10


@pytest.mark.parametrize("seed", [0, 7, MAX_SEED - 2])
def test_a_given_seed_is_used_for_the_first_image_and_counts_up(automatic: Service, seed: int) -> None:
    answer = automatic.caller.generate(seed=seed, n=3)

    assert automatic.caller.job(answer.headers["x-job-id"])["seeds"] == [seed, seed + 1, seed + 2]


def test_without_a_seed_each_job_has_its_own_and_says_which(automatic: Service) -> None:
    answers = [automatic.caller.generate(n=2) for _ in range(3)]

    seeds = [automatic.caller.job(answer.headers["x-job-id"])["seeds"] for answer in answers]
    assert len({first for first, _ in seeds}) == 3
    for (first, second), answer in zip(seeds, answers, strict=True):
        assert second == first + 1
        assert automatic.worker.drawn[answer.headers["x-job-id"]].seeds == (first, second)


CHOICES = ("background", "moderation", "output_format", "quality", "response_format", "size", "style")


@pytest.mark.parametrize("field", CHOICES)
@pytest.mark.parametrize("nothing", ["", " ", "\r\n"])
def test_an_empty_choice_takes_its_default(automatic: Service, field: str, nothing: str) -> None:
    assert drawn(automatic, automatic.caller.generate(**{field: nothing})) == DEFAULTS


def test_a_url_is_not_supported_in_any_case(automatic: Service) -> None:
    answer = automatic.caller.generate(response_format="URL ")

    assert_error(answer, 400, "unsupported_value", param="response_format")


def test_a_transparent_jpeg_is_one_however_it_is_spelled(automatic: Service) -> None:
    answer = automatic.caller.generate(background="TRANSPARENT", output_format=" Jpeg")

    assert_error(answer, 422, "invalid_value", param="background")


@pytest.mark.parametrize(("n", "seed"), [(1, MAX_SEED), (2, MAX_SEED - 1), (4, MAX_SEED - 3)])
def test_the_last_images_seed_is_at_most_the_greatest(automatic: Service, n: int, seed: int) -> None:
    answer = automatic.caller.generate(n=n, seed=seed)
    beyond = automatic.caller.generate(n=n, seed=seed + 1)

    assert answer.headers["x-seeds"] == ", ".join(map(str, range(seed, MAX_SEED + 1)))
    assert_error(beyond, 422, "invalid_value", param="seed")
    assert [problem["loc"] for problem in beyond.json()["detail"]] == [["body", "seed"]]


def test_every_seed_that_was_reported_draws_its_picture_alone(automatic: Service) -> None:
    together = automatic.caller.generate(n=4, seed=-1)

    alone = [
        automatic.caller.generate(seed=int(seed)).json()["data"][0]
        for seed in together.headers["x-seeds"].split(",")
    ]

    assert alone == together.json()["data"]


def test_the_service_knows_a_user_by_either_name_and_the_new_one_wins(service: Service) -> None:
    lanes = []
    for fields in (
        {"user": "anna"},
        {"safety_identifier": "anna"},
        {"safety_identifier": "anna", "user": "bert"},
        {"safety_identifier": "", "user": "anna"},
        {"safety_identifier": "Anna"},
    ):
        answer = service.caller.generate({"Prefer": "respond-async"}, **fields)
        assert "x-ignored-fields" not in answer.headers
        record = service.worker.client.hgetall(service.key("job", answer.json()["id"]))
        assert not any(b"anna" in value.lower() for value in record.values())
        lanes.append(record[b"lane"])

    assert len(set(lanes[:4])) == 1
    assert lanes[4] != lanes[0]


def test_the_same_user_by_either_name_makes_the_same_request(service: Service) -> None:
    key = {"Idempotency-Key": "one"}

    assert service.caller.submit(key, user="anna") == service.caller.submit(key, safety_identifier="anna")
