"""Results as addresses: who gets which, what is served at one of a folder, and to whom it is not."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import openai
import pytest

from cli.keyholder import Keyholder
from shared.jobs.keys import Keys
from shared.settings import ResultSettings
from tests.http_caller import JOBS, Response, assert_error
from tests.integration.conftest import Serve, Service
from tests.odd_pictures import plain
from tests.sse import parse
from tests.waiting import wait_until

EDITS = "/v1/images/edits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("below") / "results"


@pytest.fixture(scope="module")
def service(serve_module: Serve, folder: Path) -> Iterator[Service]:
    """A service with a folder, whose worker draws everything at once."""
    started = serve_module(results={"urls": str(folder)})
    with started.worker.serving():
        yield started


@pytest.fixture
def url(service: Service) -> str:
    """The address of a picture."""
    return one_url(service.caller.generate(response_format="url", seed=7))


def one_url(answer: Response) -> str:
    assert answer.status_code == 200, answer.text
    (image,) = answer.json()["data"]
    assert set(image) == {"url"}
    found: str = image["url"]
    return found


def anybody(method: str, url: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.request(method, url, headers=named, trust_env=False)


def changed(url: str, **query: str) -> str:
    parts = urlsplit(url)
    return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **query})).geturl()


def moved(url: str, path: str) -> str:
    return urlsplit(url)._replace(path=path).geturl()


def test_the_answer_has_addresses_and_is_otherwise_the_documented_one(service: Service) -> None:
    answer = service.caller.generate(response_format="url", n=2, seed=7)

    body = answer.json()
    assert list(body) == ["created", "data", "usage"]
    urls = [image["url"] for image in body["data"]]
    assert [list(image) for image in body["data"]] == [["url"], ["url"]]
    assert all(url.startswith(f"{service.api.url}/files/pictures/") for url in urls)
    assert [anybody("GET", url).content for url in urls] == [b"a tiny picture 7", b"a tiny picture 8"]
    assert answer.headers["x-seeds"] == "7, 8"


def test_every_delivery_has_the_same_addresses(service: Service) -> None:
    held = service.caller.generate({"Idempotency-Key": "once"}, response_format="url", seed=7)
    job_id = held.headers["x-job-id"]
    again = service.caller.generate({"Idempotency-Key": "once"}, response_format="url", seed=7)
    streamed = service.caller.generate(
        {"Idempotency-Key": "streamed"}, response_format="url", seed=8, stream=True
    )
    accepted = service.caller.submit(response_format="url", seed=9)
    wait_until(lambda: service.caller.job(accepted)["status"] == "succeeded")

    assert service.caller.result(job_id).content == held.content == again.content
    (completed,) = [each.data for each in parse(streamed.iter_lines())]
    assert "b64_json" not in completed
    assert anybody("GET", completed["url"]).content == b"a tiny picture 8"
    by_id = service.caller.result(completed_job(streamed))
    assert one_url(by_id) == completed["url"]
    assert anybody("GET", one_url(service.caller.result(accepted))).content == b"a tiny picture 9"


def completed_job(answer: Response) -> str:
    found: str = answer.headers["x-job-id"]
    return found


def test_base64_stays_as_it_was_beside_it(service: Service, folder: Path) -> None:
    before = set(folder.rglob("*"))

    answer = service.caller.generate(seed=7)

    assert answer.json()["data"] == [{"b64_json": base64.b64encode(b"a tiny picture 7").decode()}]
    assert set(folder.rglob("*")) == before


def test_an_edit_has_addresses_too(service: Service) -> None:
    form = {"prompt": "blue", "response_format": "url", "seed": "7"}
    answer = service.caller.http.post(EDITS, data=form, files={"image": ("a.png", plain())})

    assert anybody("GET", one_url(answer)).content == b"blue 7"


def test_redis_has_names_and_no_picture(service: Service) -> None:
    answer = service.caller.generate(response_format="url", seed=7)
    client, job_id = service.worker.client, answer.headers["x-job-id"]

    name = urlsplit(one_url(answer)).path.removeprefix("/files/")
    assert client.hgetall(service.key("stored", job_id)) == {b"0": name.encode()}
    assert not client.exists(service.key("result", job_id))


def test_without_a_store_it_is_refused_and_the_setting_named(serve: Serve) -> None:
    service = serve()
    for stream in (False, True):
        answer = service.caller.generate(response_format="url", stream=stream)
        message = assert_error(answer, 400, "unsupported_value", param="response_format")
        assert "DARKROOM_RESULTS__URLS" in message


def test_the_official_client_downloads_it(service: Service) -> None:
    with openai.OpenAI(
        base_url=f"{service.api.url}/v1", api_key="x", http_client=openai.DefaultHttpxClient(trust_env=False)
    ) as client:
        result = client.images.generate(prompt="a swan", response_format="url", extra_body={"seed": 1})

    assert result.data is not None
    assert result.data[0].b64_json is None
    assert anybody("GET", str(result.data[0].url)).content == b"a swan 1"


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_what_is_served_says_what_it_is_and_runs_nothing(service: Service, kind: str) -> None:
    url = one_url(service.caller.generate(response_format="url", output_format=kind))
    asked_at = time.time()
    got, head = anybody("GET", url), anybody("HEAD", url)

    assert got.status_code == head.status_code == 200
    assert head.content == b""
    headers = got.headers
    assert headers["content-type"] == f"image/{kind}"
    name = urlsplit(url).path.rpartition("/")[2]
    assert headers["content-disposition"] == f'inline; filename="{name}"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert headers["content-security-policy"].endswith("; sandbox")
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert "no-store" not in headers["cache-control"]
    until = int(dict(parse_qsl(urlsplit(url).query))["expires"])
    age = int(headers["cache-control"].split("max-age=")[1].split(",")[0])
    assert headers["cache-control"].startswith("private, ")
    assert 0 <= until - asked_at - age < 3
    for name in ("content-type", "content-length", "etag", "last-modified", "accept-ranges"):
        assert head.headers[name] == headers[name]


def test_parts_of_it_can_be_asked_for(url: str) -> None:
    whole = anybody("GET", url)
    etag = whole.headers["etag"]

    part = anybody("GET", url, Range="bytes=2-5")
    assert (part.status_code, part.content) == (206, b"tiny")
    assert part.headers["content-range"] == "bytes 2-5/16"
    assert anybody("GET", url, Range="bytes=-1").content == b"7"
    assert anybody("GET", url, Range="bytes=2-5", If_Range=etag).status_code == 206
    other = anybody("GET", url, Range="bytes=2-5", If_Range='"another"')
    assert (other.status_code, other.content) == (200, whole.content)
    assert anybody("GET", url, Range="bytes=99-").status_code == 416
    same = anybody("GET", url, If_None_Match=etag)
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == etag
    assert anybody("GET", url, If_None_Match='"another"').status_code == 200


def test_a_changed_address_is_refused(service: Service, url: str) -> None:
    other = one_url(service.caller.generate(response_format="url", seed=8))
    query = dict(parse_qsl(urlsplit(url).query))
    later = str(int(query["expires"]) + 1)
    flipped = ("A" if query["signature"][0] != "A" else "B") + query["signature"][1:]
    bare = urlsplit(url)._replace(query="").geturl()
    wrong = [
        bare,
        changed(url, signature=""),
        changed(url, signature=flipped),
        changed(url, signature=query["signature"] + "="),
        changed(url, signature="\u017f" * 43),
        changed(url, expires=later),
        changed(url, expires=f"+{query['expires']}"),
        changed(url, expires=f" {query['expires']}"),
        changed(url, expires="9" * 5000),
        changed(url, expires="never"),
        moved(url, urlsplit(other).path),
        moved(url, urlsplit(url).path + ".png"),
        moved(url, "/files/"),
    ]

    for each in wrong:
        for method in ("GET", "HEAD"):
            answer = anybody(method, each)
            assert answer.status_code == 403, each
            assert answer.headers["cache-control"] == "no-store"
        assert_error(anybody("GET", each), 403, "invalid_signature")
    assert anybody("GET", url).status_code == 200


def test_an_expired_address_is_refused_though_the_picture_is_there_yet(serve: Serve, tmp_path: Path) -> None:
    service = serve(results={"urls": str(tmp_path)}, jobs={"result_ttl_s": 1})
    with service.worker.serving():
        url = one_url(service.caller.generate(response_format="url"))
        job_id = service.caller.http.get(JOBS).json()["data"][0]["id"]

        refused = wait_until(lambda: (got := anybody("GET", url)).status_code != 200 and got)
        assert_error(refused, 403, "url_expired")
        assert len(list(tmp_path.rglob("*.png"))) == 1
        expired = wait_until(lambda: (got := service.caller.result(job_id)).status_code != 200 and got)
        assert_error(expired, 410, "result_expired")


def test_what_is_gone_is_not_found(folder: Path, url: str) -> None:
    (folder / urlsplit(url).path.removeprefix("/files/")).unlink()

    assert_error(anybody("GET", url), 404, "object_not_found")
    assert anybody("GET", url).headers["cache-control"] == "no-store"


TRICKS = (
    "../secret.png",
    "pictures/../../secret.png",
    "/etc/passwd",
    "//etc/passwd",
    "pictures",
    "pictures/",
    "",
    ".",
    "..",
    "pictures/a\0b.png",
    "pictures/" + "x" * 5000,
    "pictures/link.png",
    "outside/secret.png",
    "..\\secret.png",
)


@pytest.mark.parametrize("name", TRICKS)
def test_even_what_was_signed_leads_out_of_the_folder_never(
    service: Service, folder: Path, name: str
) -> None:
    """Nobody signs such a name; what serves names does not lean on that."""
    assert service.caller.generate(response_format="url").status_code == 200
    outside = folder.parent / "secret.png"
    if not outside.exists():
        outside.write_bytes(b"a secret")
        (folder / "pictures" / "link.png").symlink_to(outside)
        (folder / "outside").symlink_to(folder.parent)
    expires = int(time.time()) + 60
    signature = sign(service, name, expires)
    query = urlencode({"expires": expires, "signature": signature})
    path = "/files/" + "".join(f"%{byte:02x}" for byte in name.encode())

    answer = anybody("GET", f"{service.api.url}{path}?{query}")
    assert_error(answer, 404, "object_not_found")


def sign(service: Service, name: str, expires: int) -> str:
    """Sign as the service does, written down a second time."""
    key = service.worker.client.get(Keys(service.worker.store.keys.prefix).signing_key)
    digest = hmac.new(key, f"{expires}\n{name}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "path",
    ["/files/../v1/models", "/files/%2e%2e/healthz", "/files/..%2f..%2fetc/passwd", "/files//etc/passwd"],
)
def test_without_a_signature_no_path_is_looked_at(service: Service, path: str) -> None:
    raw = service.api.url.removeprefix("http://")
    answer = httpx2.get(f"http://{raw}{path}", trust_env=False)
    assert answer.status_code in {200, 401, 403, 404}
    if answer.request.url.path.startswith("/files"):
        assert_error(answer, 403, "invalid_signature")


def test_an_encoded_slash_is_the_same_object(url: str) -> None:
    path = urlsplit(url).path.removeprefix("/files/").replace("/", "%2F")
    assert anybody("GET", moved(url, f"/files/{path}")).content == b"a tiny picture 7"


def test_other_processes_sign_and_read_the_same(serve: Serve, folder: Path) -> None:
    one, two = (serve(results={"urls": str(folder)}) for _ in range(2))
    with one.worker.serving():
        answer = one.caller.generate(response_format="url")
    url = one_url(answer)
    there = url.replace(one.api.url, two.api.url)

    assert anybody("GET", there).content == anybody("GET", url).content
    assert one_url(two.caller.result(answer.headers["x-job-id"])) == there


def test_a_key_that_was_deleted_makes_old_addresses_worthless(serve: Serve, folder: Path) -> None:
    one = serve(results={"urls": str(folder)})
    with one.worker.serving():
        url = one_url(one.caller.generate(response_format="url"))
    one.worker.client.delete(one.key("signing_key"))
    other = serve(results={"urls": str(folder)})

    assert_error(anybody("GET", url.replace(one.api.url, other.api.url)), 403, "invalid_signature")


def test_nobody_else_gets_the_address_of_a_job(service: Service) -> None:
    answer = service.caller.generate(response_format="url")
    stranger = service.another_caller("somebody else")

    assert_error(stranger.result(answer.headers["x-job-id"]), 404, "job_not_found")


def test_a_page_of_another_site_shows_it_while_there_is_no_key_and_asks_nothing_else(
    service: Service, url: str
) -> None:
    page = {
        "Origin": "https://elsewhere.example",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
    }

    assert httpx2.get(url, headers=page, trust_env=False).status_code == 200
    assert httpx2.get(url, headers={"Host": "pictures.example"}, trust_env=False).status_code == 200
    refused = httpx2.get(f"{service.api.url}{JOBS}", headers=page, trust_env=False)
    assert_error(refused, 403, "origin_not_allowed", param="Origin")


def test_where_there_are_keys_it_is_served_without_one(serve: Serve, folder: Path) -> None:
    """The signature is the right: an image of a page has no header to say more."""
    service = serve(results={"urls": str(folder)})
    settings = service.api.settings
    key = Keyholder(settings.redis, settings.api.owner_salt.get_secret_value().encode()).create("a test's")
    with service.worker.serving():
        url = one_url(service.another_caller(key.text).generate(response_format="url"))

    assert service.another_caller("").generate().status_code == 401
    assert anybody("GET", url).status_code == 200


def test_the_log_has_no_signature(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    signature = dict(parse_qsl(urlsplit(url).query))["signature"]
    anybody("GET", url)
    anybody("GET", changed(url, expires="1"))

    out, err = capfd.readouterr()
    assert "/files/" in out + err
    assert signature not in out + err


def test_a_job_that_asks_differently_is_another_one(service: Service) -> None:
    first = service.caller.generate(response_format="url", seed=7)
    retry = service.caller.generate({"x-stainless-retry-count": "1"}, seed=7)

    assert "b64_json" in retry.json()["data"][0]
    assert retry.headers["x-job-id"] != first.headers["x-job-id"]


def test_a_failed_upload_is_an_error_of_the_job(serve: Serve, folder: Path) -> None:
    service = serve(results={"urls": str(folder)})
    call = service.caller.later(response_format="url")
    attempt = service.worker.take()
    service.worker.store.fail(attempt, code="upload_failed", message="The picture could not be written.")

    answer = call.result()
    assert_error(answer, 500, "upload_failed", kind="server_error")
    assert answer.headers["x-should-retry"] == "false"


def test_where_addresses_are_the_default_only_who_asks_gets_base64(serve: Serve, tmp_path: Path) -> None:
    service = serve(results={"urls": str(tmp_path), "by_default": True})
    with service.worker.serving():
        for said in ({}, {"response_format": None}, {"response_format": ""}, {"response_format": "url"}):
            assert anybody("GET", one_url(service.caller.generate(seed=7, **said))).content.endswith(b" 7")
        form = {"prompt": "blue", "seed": "7"}
        edit = service.caller.http.post(EDITS, data=form, files={"image": ("a.png", plain())})
        assert anybody("GET", one_url(edit)).content == b"blue 7"
        told = service.caller.generate(response_format="b64_json", seed=7)
    assert told.json()["data"] == [{"b64_json": base64.b64encode(b"a tiny picture 7").decode()}]
    document = service.caller.http.get("/openapi.json").json()
    how = document["components"]["schemas"]["GenerationRequest"]["properties"]["response_format"]
    assert how["default"] == "url"


def test_no_default_without_a_place() -> None:
    with pytest.raises(ValueError, match=r"results\.urls"):
        ResultSettings(by_default=True)
