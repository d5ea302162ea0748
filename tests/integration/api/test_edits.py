"""Edits: what comes in by a form or JSON, what is refused, and what a job begins with."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shared.usage import output_tokens
from tests import odd_pictures as odd
from tests.http_caller import ASYNC, HttpCaller, Response, assert_error
from tests.integration.conftest import BEGINS, Serve, Service
from tests.played_worker import TEXT_TOKENS
from tests.tiny_models import write_catalogue
from tests.waiting import wait_until

EDITS = "/v1/images/edits"
LOOKS = {"by": "reference", "most_images": 3}
PICTURE = odd.plain((96, 64))
Parts = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` begins with a picture, `looks` looks at up to three, as `only` must, `plain` draws from text."""
    return write_catalogue(
        tmp_path_factory.mktemp("models"),
        tiny={"edits": BEGINS},
        looks={"family": "SomeWholePipeline", "weights": "tiny-rgba", "edits": LOOKS},
        plain={"transparent": False, "negative_prompt": False},
        only={"family": "SomeWholePipeline", "weights": "tiny-rgba", "edits": {**LOOKS, "required": True}},
    )


@pytest.fixture(scope="module")
def whole(serve_module: Serve) -> Service:
    """The service of the module: what decodes its pictures takes a second to start."""
    models = ("tiny", "looks", "plain")
    return serve_module(models=models, model_settings={"enabled": models})


@pytest.fixture
def service(whole: Service) -> Iterator[Service]:
    """The same, alive and without a job."""
    whole.worker.beat()
    yield whole
    client = whole.worker.client
    names = client.scan_iter(match=f"{whole.key('')}*", count=1000)
    if stale := [name for name in names if not name.startswith(whole.key("serving").encode())]:
        client.delete(*stale)


def edit(
    caller: HttpCaller,
    *images: bytes,
    mask: bytes | None = None,
    headers: dict[str, str] | None = None,
    **fields: str,
) -> Response:
    """POST a form; a prompt and a picture are there unless the test gives others."""
    name = "image" if len(images) <= 1 else "image[]"
    parts: Parts = [(name, (f"{i}.png", image, "image/png")) for i, image in enumerate(images or (PICTURE,))]
    if mask is not None:
        parts.append(("mask", ("mask.png", mask, "image/png")))
    form = {"prompt": "a tiny picture", **fields}
    return caller.http.post(EDITS, data=form, files=parts, headers=headers)


def edit_json(caller: HttpCaller, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    body = {"prompt": "a tiny picture", "images": [data_url(PICTURE)], **fields}
    return caller.http.post(EDITS, json=body, headers=headers)


def data_url(file: bytes, kind: str = "image/png") -> dict[str, str]:
    return {"image_url": f"data:{kind};base64,{base64.b64encode(file).decode()}"}


def inputs(service: Service, job_id: str) -> dict[str, bytes]:
    found = service.worker.client.hgetall(service.worker.store.keys.input(job_id))
    return {name.decode(): file for name, file in found.items()}


def pixels(file: bytes) -> tuple[str, tuple[int, int], Any]:
    with Image.open(BytesIO(file)) as picture:
        return picture.mode, picture.size, picture.getpixel((0, 0))


def left(service: Service) -> set[str]:
    """Return what of inputs is in the store."""
    keys = service.worker.client.scan_iter(match=f"{service.worker.store.keys.prefix}input*")
    return {key.decode().removeprefix(service.worker.store.keys.prefix) for key in keys}


def test_lines_end_as_they_were_typed_and_not_as_browsers_send_them_in_forms(service: Service) -> None:
    job_id = edit(service.caller, headers=ASYNC, prompt="a tree\r\nin snow").json()["id"]

    service.worker.finish(service.worker.take())
    assert service.worker.drawn[job_id].prompt == "a tree\nin snow"


def test_a_form_makes_a_job_that_begins_with_its_picture(service: Service) -> None:
    answer = edit(service.caller, headers=ASYNC, n="2", quality="low", strength="0.25", seed="7")

    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/images/jobs/{job_id}"
    attempt = service.worker.take()
    drawn = service.worker.drawn[job_id]
    assert (drawn.input_sizes, drawn.masked, drawn.strength) == (((96, 64),), False, 0.25)
    assert (drawn.n, drawn.seed) == (2, 7)
    assert (drawn.width, drawn.height) == (96, 64)
    assert {name: pixels(file) for name, file in inputs(service, job_id).items()} == {
        "0": ("RGB", (96, 64), odd.RED)
    }
    service.worker.finish(attempt)

    assert left(service) == set()
    usage = service.caller.result(job_id).json()["usage"]
    looked_at = output_tokens(96, 64, drawn.quality)
    assert usage["input_tokens_details"] == {"image_tokens": looked_at, "text_tokens": TEXT_TOKENS}
    assert usage["input_tokens"] == looked_at + TEXT_TOKENS
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_json_is_the_same_request(service: Service) -> None:
    mask, headers = odd.masking((96, 64), hole=10), {**ASYNC, "Idempotency-Key": "a"}
    first = edit(service.caller, mask=mask, headers=headers)
    again = edit_json(service.caller, headers, mask=data_url(mask))

    assert (first.status_code, again.status_code) == (202, 202), again.text
    assert again.json()["id"] == first.json()["id"]
    (job,) = {key for key in left(service) if key.startswith("input:")}
    assert set(inputs(service, job.removeprefix("input:"))) == {"0", "mask"}


def test_a_held_call_gets_the_documented_body(service: Service) -> None:
    with service.worker.serving():
        answer = edit(service.caller, size="64x64")

    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"created", "data", "usage"}


def test_a_stream_has_the_events_of_edits(service: Service) -> None:
    with service.worker.serving():
        answer = edit(service.caller, stream="true")

    assert answer.headers["content-type"].startswith("text/event-stream")
    (event,) = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert event["type"] == "image_edit.completed"
    assert "event: image_edit.completed" in answer.text


def test_several_pictures_go_to_a_model_that_looks_at_them(service: Service) -> None:
    blue = odd.plain((64, 64), "webp", (0, 0, 255))
    answer = edit(service.caller, PICTURE, blue, headers=ASYNC, model="looks")

    assert answer.status_code == 202, answer.text
    files = inputs(service, answer.json()["id"])
    assert [pixels(files[name])[1] for name in ("0", "1")] == [(96, 64), (64, 64)]


@pytest.mark.parametrize(
    ("came", "drawn"),
    [
        ((96, 64), (96, 64)),
        ((95, 66), (96, 64)),
        ((70, 70), (72, 72)),
        ((2000, 100), (384, 96)),
        ((9, 9), (64, 64)),
    ],
)
def test_the_size_is_that_of_the_first_picture_where_nothing_else_is_said(
    service: Service, came: tuple[int, int], drawn: tuple[int, int]
) -> None:
    job_id = edit(service.caller, odd.plain(came), headers=ASYNC).json()["id"]
    service.worker.take()

    params = service.worker.drawn[job_id]
    assert (params.width, params.height) == drawn
    assert params.input_sizes == (came,)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        pytest.param(b"", "no png, webp or jpeg", id="nothing"),
        pytest.param(odd.SVG, "no png, webp or jpeg", id="svg"),
        pytest.param(odd.HEIC, "no png, webp or jpeg", id="heic"),
        pytest.param(odd.cut(odd.encoded(Image.effect_noise((64, 64), 90))), "not whole", id="half"),
        pytest.param(odd.bomb(), "60000x60000", id="bomb"),
    ],
)
def test_a_file_that_is_no_picture_is_named(service: Service, file: bytes, words: str) -> None:
    answer = edit(service.caller, PICTURE, file, model="looks")

    message = assert_error(answer, 400, "invalid_image", param="image")
    assert message.startswith("Image 2 of 2 ")
    assert words in message
    assert left(service) == set()


def test_a_mask_of_another_size_is_refused(service: Service) -> None:
    answer = edit(service.caller, mask=odd.masking((64, 96)))

    assert "64x96" in assert_error(answer, 400, "invalid_image", param="mask")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"prompt": ""}, 422, "invalid_value", "prompt"),
        ({"n": "five"}, 422, "invalid_value", "n"),
        ({"n": "5"}, 422, "invalid_value", "n"),
        ({"n": "1.5"}, 422, "invalid_value", "n"),
        ({"stream": "perhaps"}, 422, "invalid_value", "stream"),
        ({"strength": "1.01"}, 422, "invalid_value", "strength"),
        ({"strength": "nan"}, 422, "invalid_value", "strength"),
        ({"input_fidelity": "middle"}, 422, "invalid_value", "input_fidelity"),
        ({"size": "100x100"}, 422, "invalid_value", "size"),
        ({"model": "plain"}, 400, "unsupported_value", "image"),
        ({"model": "looks", "input_fidelity": "high"}, 400, "unsupported_value", "input_fidelity"),
        ({"model": "looks", "strength": "0.5"}, 400, "unsupported_value", "strength"),
        ({"size": "4096x4096"}, 400, "unsupported_value", "size"),
        ({"response_format": "url"}, 400, "unsupported_value", "response_format"),
        ({"markup": "x"}, 400, "unsupported_parameter", "markup"),
        ({"svg": "x"}, 400, "unsupported_parameter", "svg"),
        ({"frame_count": "2"}, 400, "unsupported_parameter", "frame_count"),
        ({"model": "nobody"}, 404, "model_not_found", "model"),
    ],
)
def test_a_field_that_cannot_be_is_named(
    service: Service, fields: dict[str, str], status: int, code: str, param: str
) -> None:
    answer = edit(service.caller, **fields)

    assert_error(answer, status, code, param=param)
    assert left(service) == set()


def test_what_a_model_cannot_do_names_those_that_can(service: Service) -> None:
    several = edit(service.caller, PICTURE, PICTURE)
    masked = edit(service.caller, mask=odd.masking((96, 64)), model="looks")
    many = edit(service.caller, *[PICTURE] * 4, model="looks")

    assert "looks" in assert_error(several, 400, "unsupported_value", param="image")
    assert "tiny" in assert_error(masked, 400, "unsupported_value", param="mask")
    assert "none" in assert_error(many, 400, "unsupported_value", param="image")


def test_a_model_that_only_edits_is_for_edits_alone(serve: Serve) -> None:
    service = serve(models=("only",), model_settings={"enabled": ("only",)})

    refused = service.caller.generate(model="only")
    at_random = service.caller.generate(model="random")
    edited = edit(service.caller, model="only", headers=ASYNC)

    for answer in (refused, at_random):
        assert "/v1/images/edits" in assert_error(answer, 400, "unsupported_value", param="model")
    assert edited.json()["model"] == "only"
    assert [each["id"] for each in service.caller.http.get("/v1/models").json()["data"]] == ["only"]
    unnamed = assert_error(service.caller.generate(), 404, "model_not_found", param="model")
    assert unnamed.endswith("Available: only.")


def test_a_refusal_names_the_models_that_draw_without_a_picture(serve: Serve) -> None:
    names = ("tiny", "only", "plain")
    service = serve(models=names, model_settings={"enabled": names})

    message = assert_error(service.caller.generate(model="only"), 400, "unsupported_value", param="model")

    assert message.endswith("without one: tiny, plain.")
    drawn = {service.caller.job(service.caller.submit(model="random"))["model"] for _ in range(12)}
    assert drawn <= {"tiny", "plain"}


def test_random_is_a_model_that_can(service: Service) -> None:
    for _ in range(5):
        answer = edit(service.caller, PICTURE, PICTURE, model="random", headers=ASYNC)
        assert answer.json()["model"] == "looks"


def test_without_a_picture_there_is_nothing_to_edit(service: Service) -> None:
    # What a browser sends of a field in which no file was chosen.
    empty = b'Content-Disposition: form-data; name="image"; filename=""\r\n\r\n\r\n'
    prompt = b'Content-Disposition: form-data; name="prompt"\r\n\r\nx\r\n'
    form = service.caller.http.post(
        EDITS,
        content=b"--a\r\n" + empty + b"--a\r\n" + prompt + b"--a--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=a"},
    )
    as_json = edit_json(service.caller, images=[])

    for answer in (form, as_json):
        assert_error(answer, 422, "invalid_value", param="image")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"images": ["https://pictures.example/swan.png"]}, 400, "unsupported_value", "images"),
        ({"images": [{"image_url": "https://pictures.example/a.png"}]}, 400, "unsupported_value", "images"),
        ({"images": [{"image_url": "file:///etc/passwd"}]}, 400, "unsupported_value", "images"),
        ({"images": [{"file_id": "file-1"}]}, 400, "unsupported_value", "images"),
        ({"images": [{"image_url": "data:image/png,hello"}]}, 400, "unsupported_value", "images"),
        ({"images": [{"image_url": "data:image/png;base64,hell?"}]}, 422, "invalid_value", "images"),
        ({"images": [7]}, 422, "invalid_value", "images"),
        ({"images": [{}]}, 422, "invalid_value", "images"),
        ({"mask": {"image_url": "http://x/"}}, 400, "unsupported_value", "mask"),
        ({"image": data_url(PICTURE)}, 422, "invalid_value", "images"),
    ],
)
def test_the_service_fetches_nothing_from_anywhere(
    service: Service, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    assert_error(edit_json(service.caller, **fields), status, code, param=param)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 422, "invalid_json"),
        (b"[]", "application/json", 422, "invalid_value"),
        (b"x", "text/plain", 415, "not_form"),
        (b"prompt=x", "application/x-www-form-urlencoded", 415, "not_form"),
        (b"x", "multipart/form-data", 400, "invalid_form"),
        (b"x", "multipart/form-data; boundary=a", 400, "invalid_form"),
        (b"--a\r\n\r\nx\r\n--a--\r\n", "multipart/form-data; boundary=a", 400, "invalid_form"),
        (
            b'--a\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx',
            "multipart/form-data; boundary=a",
            400,
            "invalid_form",
        ),
        (
            b'--a\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\r\n--a--\r\n',
            "multipart/form-data; boundary=a",
            400,
            "invalid_form",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    service: Service, body: bytes, kind: str, status: int, code: str
) -> None:
    answer = service.caller.http.post(EDITS, content=body, headers={"Content-Type": kind})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def test_a_form_that_says_a_thing_twice_is_refused(service: Service) -> None:
    parts = [("image", ("a", PICTURE)), ("prompt", (None, "one")), ("prompt", (None, "two"))]
    masks = [("image", ("a", PICTURE)), ("mask", ("a", PICTURE)), ("mask", ("b", PICTURE))]

    assert_error(service.caller.http.post(EDITS, files=parts), 422, "invalid_value", param="prompt")
    assert_error(service.caller.http.post(EDITS, files=masks), 422, "invalid_value", param="mask")


def test_files_and_bodies_have_an_end(serve: Serve) -> None:
    service = serve(
        models=("tiny",),
        api={"max_upload_bytes": 300_000, "max_input_file_bytes": 100_000, "max_input_images": 2},
    )
    noise = odd.encoded(Image.effect_noise((400, 400), 90))
    assert 100_000 < len(noise) < 300_000

    assert_error(edit(service.caller, noise), 413, "body_too_large", param="image")
    assert_error(edit_json(service.caller, images=[data_url(noise)]), 413, "body_too_large", param="images")
    assert_error(edit(service.caller, noise * 3), 413, "body_too_large")
    assert_error(edit(service.caller, *[PICTURE] * 3), 422, "invalid_value", param="image")
    assert edit(service.caller, headers=ASYNC).status_code == 202


def test_pictures_that_wait_have_an_end_for_all_and_for_each(serve: Serve) -> None:
    noise = odd.encoded(Image.effect_noise((100, 100), 90).convert("RGB"))
    size = len(noise)
    service = serve(
        models=("tiny",),
        jobs={"max_input_bytes": 4 * size, "max_input_bytes_per_owner": 2 * size},
    )
    ann, bob, eve = service.caller, service.another_caller("bob"), service.another_caller("eve")
    first = [edit(ann, noise, headers=ASYNC, seed=str(i)) for i in range(4)]
    accepted = [answer.json()["id"] for answer in first if answer.status_code == 202]

    assert 1 <= len(accepted) < 4
    refused = first[-1]
    assert_error(refused, 429, "too_many_jobs", kind="rate_limit_error")
    assert int(refused.headers["retry-after"]) >= 1
    others = [edit(bob, noise, headers=ASYNC, seed=str(i)) for i in range(2)]
    last = [edit(eve, noise, headers=ASYNC, seed=str(i)) for i in range(4)]
    full = [answer for answer in (*others, *last) if answer.status_code != 202]
    assert {answer.json()["error"]["code"] for answer in full} >= {"queue_full"}
    for answer in full:
        assert answer.status_code in {429, 503}
        assert int(answer.headers["retry-after"]) >= 1

    jobs = [*accepted, *(a.json()["id"] for a in (*others, *last) if a.status_code == 202)]
    for caller in (ann, bob, eve):
        for job_id in jobs:
            caller.cancel(job_id)
    assert left(service) == set()
    assert edit(ann, noise, headers=ASYNC).status_code == 202


def test_a_retry_attaches_to_the_job_with_the_same_files_only(service: Service) -> None:
    retry = {**ASYNC, "x-stainless-retry-count": "1"}
    first = service.another_caller().http  # a call whose caller hangs up before it is answered
    with pytest.raises(Exception):  # noqa: B017,PT011 - whatever the client raises
        first.post(EDITS, data={"prompt": "x", "seed": "1"}, files={"image": ("a", PICTURE)}, timeout=0.5)
    attempt = service.worker.take()
    other = service.another_caller()

    def again(picture: bytes) -> Response:
        form = {"prompt": "x", "seed": "1"}
        return other.http.post(EDITS, data=form, files={"image": ("b", picture)}, headers=retry)

    same, another = again(PICTURE), again(odd.plain((64, 64)))

    assert same.json()["id"] == attempt.job_id
    assert another.json()["id"] != attempt.job_id
    assert {key for key in left(service) if key.startswith("input:")} == {
        f"input:{attempt.job_id}",
        f"input:{another.json()['id']}",
    }


def test_an_idempotency_key_with_other_files_is_refused(service: Service) -> None:
    key = {**ASYNC, "Idempotency-Key": "one"}
    assert edit(service.caller, headers=key).status_code == 202

    other = edit(service.caller, odd.plain((64, 64)), headers=key)

    assert_error(other, 422, "idempotency_key_reused")
    assert len({key for key in left(service) if key.startswith("input:")}) == 1


def test_pictures_are_gone_with_their_job_however_it_ends(service: Service) -> None:
    ids = [edit(service.caller, headers=ASYNC, seed=str(i)).json()["id"] for i in range(3)]
    assert len([key for key in left(service) if key.startswith("input:")]) == 3

    service.worker.fail(service.worker.take())
    service.worker.do()
    for job_id in ids:
        service.caller.cancel(job_id)

    assert left(service) == set()


def test_pictures_whose_job_an_older_version_ended_are_found(service: Service) -> None:
    edit(service.caller, headers=ASYNC)
    keys, client = service.worker.store.keys, service.worker.client
    (member,) = client.zrange(keys.inputs, 0, -1)
    client.zadd(keys.inputs, {member: 1})

    wait_until(lambda: service.worker.store.reap() and left(service) == set(), what="the reaper")


def test_a_callers_key_is_asked_for_before_anything_is_read(service: Service) -> None:
    job_id = edit(service.caller, headers=ASYNC).json()["id"]

    other = service.another_caller("somebody else")
    assert other.http.get(f"/v1/images/jobs/{job_id}").status_code == 404


def test_models_say_what_they_can_edit(service: Service) -> None:
    listed = {each["id"]: each for each in service.caller.http.get("/v1/models").json()["data"]}

    assert listed["tiny"]["edits"] == {"max_images": 1, "required": False, **BEGINS}
    assert listed["looks"]["edits"] == {
        "by": "reference",
        "max_images": 3,
        "masks": False,
        "strength": None,
        "required": False,
    }
    assert listed["plain"]["edits"] is None
