"""The playground's edits: pictures come in, are painted over, and are what a job begins with."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from shared.usage import usage
from tests import odd_pictures as odd
from tests.browser import PHONE, accessibility_problems, ask, drag, drop, newest, paint
from tests.integration.conftest import BEGINS, Serve, Service
from tests.integration.playground.conftest import Visit
from tests.played_worker import TEXT_TOKENS
from tests.tiny_models import write_catalogue
from worker.attempt import Attempt

MODELS = ("tiny", "looks", "plain")
SIZE = (96, 64)
PICTURE = odd.plain(SIZE)
BLUE = odd.plain(SIZE, colour=(20, 40, 220))
LOOKING = [
    pytest.param({**screen, "color_scheme": scheme}, id=f"{name}-{scheme}")
    for name, screen in (("desk", {}), ("phone", PHONE))
    for scheme in ("light", "dark")
]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` begins with a picture, `looks` looks at up to three, `plain` draws from words alone."""
    return write_catalogue(
        tmp_path_factory.mktemp("models"),
        tiny={"edits": BEGINS},
        looks={
            "title": "Looks",
            "family": "SomeWholePipeline",
            "weights": "tiny-rgba",
            "edits": {"by": "reference", "most_images": 3, "required": True},
        },
        plain={"title": "Plain", "transparent": False, "negative_prompt": False},
    )


@pytest.fixture
def service(serve: Serve) -> Service:
    return serve(models=MODELS, model_settings={"enabled": MODELS})


def stored(service: Service, attempt: Attempt) -> dict[str, Image.Image]:
    """Return what a job begins with, as its worker gets it."""
    found = service.worker.client.hgetall(service.worker.store.keys.input(attempt.job_id))
    return {name.decode(): Image.open(BytesIO(file)) for name, file in found.items()}


def deliver(service: Service, *pictures: bytes) -> None:
    """Draw the next job: these are its pictures."""
    attempt = service.worker.take()
    params = service.worker.drawn[attempt.job_id]
    service.worker.store.save_draft(attempt, [base64.b64encode(picture) for picture in pictures])
    service.worker.store.finish(attempt, images=len(pictures), usage=usage(params, TEXT_TOKENS), warnings=())


def thumbs(page: Page) -> Any:
    return page.locator("#thumbs img")


def painted(page: Page, x: float, y: float) -> bool:
    """Whether the painter's canvas is painted at a place, in parts of its width and height."""
    return bool(
        page.locator("#painter-canvas").evaluate(
            """(canvas, [x, y]) => {
              // A copy each time: the browser complains of a canvas that is read again and again.
              const copy = new OffscreenCanvas(1, 1).getContext("2d");
              copy.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
              return copy.getImageData(0, 0, 1, 1).data[3] > 0;
            }""",
            [x, y],
        )
    )


def test_a_dropped_picture_is_what_the_job_begins_with(visit: Visit, service: Service) -> None:
    visitor = visit()
    page = visitor.open()
    brought = drag(page, photo_png=PICTURE)
    expect(page.locator("#drop")).to_have_text("Drop it to begin with this picture")
    visitor.shoot("drop")

    page.dispatch_event("body", "drop", {"dataTransfer": brought})

    expect(page.get_by_role("img", name="photo.png")).to_be_visible()
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.locator("#size-hint")).to_contain_text("auto is the picture's size")
    ask(page, "a blue apple", seed="7")
    expect(newest(page).locator(".state")).to_contain_text("Next in line")
    attempt = service.worker.take()
    drawn = service.worker.drawn[attempt.job_id]
    assert (drawn.prompt, drawn.seed, drawn.partial_images) == ("a blue apple", 7, 3)
    assert (drawn.input_sizes, drawn.masked, drawn.strength) == ((SIZE,), False, None)
    assert stored(service, attempt)["0"].getpixel((5, 5)) == odd.RED
    expect(newest(page).locator(".facts")).to_contain_text("edit of photo.png")
    # Only who follows the job already hears of a step; who comes later reads a percentage.
    expect(newest(page).locator(".state")).to_have_text("Drawing: 0 %")
    service.worker.store.progress([(attempt.job_id, attempt.token, 2, 4)])
    expect(newest(page).locator(".state")).to_have_text("Drawing: step 2 of 4")
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).locator(".state")).to_have_text("Cancelled.")


def test_a_picture_is_pasted(visit: Visit, service: Service) -> None:
    page = visit().open()
    page.get_by_label("What should be drawn?").focus()
    page.evaluate(
        """async bytes => {
          const file = new Blob([new Uint8Array(bytes)], { type: "image/png" });
          await navigator.clipboard.write([new ClipboardItem({ "image/png": file })]);
        }""",
        list(PICTURE),
    )

    page.keyboard.press("Control+v")

    expect(thumbs(page)).to_have_count(1)
    page.evaluate("navigator.clipboard.writeText('a blue apple')")
    page.keyboard.press("Control+v")
    expect(page.get_by_label("What should be drawn?")).to_have_value("a blue apple")
    page.keyboard.press("Control+Enter")
    assert stored(service, service.worker.take())["0"].getpixel((5, 5)) == odd.RED


def test_a_file_is_chosen_by_keyboard_and_removed(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(odd.plain(SIZE, "jpeg"))
    page = visit().open()

    page.get_by_role("button", name="Add a picture").focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file)

    expect(page.locator("#announcer")).to_have_text("Begins with photo.jpg")
    expect(thumbs(page)).to_have_count(1)
    page.get_by_role("button", name="Remove photo.jpg").focus()
    page.keyboard.press("Enter")
    expect(thumbs(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Add a picture")).to_be_focused()


def test_what_is_painted_is_transparent_in_the_mask_of_the_upright_picture(
    visit: Visit, service: Service
) -> None:
    """It is painted on a screen of a fraction of its pixels, and sent in all of them."""
    upright = (1500, 2400)
    exif = Image.Exif()
    exif[odd.ORIENTATION] = 6
    lying = odd.encoded(Image.new("RGB", upright[::-1], "white"), "jpeg", exif=exif)
    visitor = visit()
    page = visitor.open()
    drop(page, photo_jpg=lying)

    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.2, 0.25), (0.8, 0.25))
    visitor.shoot("paint")
    page.get_by_role("button", name="Done").click()

    expect(page.locator("#thumbs canvas")).to_be_visible()
    ask(page, "a hat")
    attempt = service.worker.take()
    assert service.worker.drawn[attempt.job_id].input_sizes == (upright,)
    mask = stored(service, attempt)["mask"]
    # The API takes a mask of the upright size only, and keeps what the model can make use of.
    scale = mask.width / upright[0]
    mask = mask.resize(upright, Image.Resampling.NEAREST)
    assert scale > 0.8
    assert [mask.getpixel((x, 600)) for x in (300, 750, 1200)] == [255, 255, 255]
    assert [mask.getpixel((x, y)) for x, y in ((750, 900), (750, 300), (20, 600), (1480, 600))] == [0] * 4
    # A brush of 14 hundredths of the shorter side, round at both ends.
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    assert (left, top) == pytest.approx((195, 495), abs=8)
    assert (right, bottom) == pytest.approx((1305, 705), abs=8)
    expect(newest(page).locator(".facts")).to_contain_text("with a mask")


def test_paint_is_erased_undone_inverted_and_cleared(visit: Visit, service: Service) -> None:
    page = visit().open()
    drop(page, photo_png=odd.plain((400, 400)))
    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.5, 0.5))
    assert painted(page, 0.5, 0.5)

    page.get_by_role("button", name="Erase").click()
    paint(page, (0.5, 0.5))
    assert not painted(page, 0.5, 0.5)
    page.keyboard.press("Control+z")
    assert painted(page, 0.5, 0.5)
    page.get_by_role("button", name="Invert").click()
    assert (painted(page, 0.5, 0.5), painted(page, 0.05, 0.05)) == (False, True)
    page.get_by_role("button", name="Clear").click()
    assert (painted(page, 0.5, 0.5), painted(page, 0.05, 0.05)) == (False, False)
    page.get_by_role("button", name="Undo").click()
    assert (painted(page, 0.5, 0.5), painted(page, 0.05, 0.05)) == (False, True)

    page.keyboard.press("Escape")
    ask(page)
    mask = stored(service, service.worker.take())["mask"]
    assert (mask.getpixel((200, 200)), mask.getpixel((10, 10))) == (0, 255)


def test_paint_that_was_all_erased_is_no_mask(visit: Visit, service: Service) -> None:
    page = visit().open()
    drop(page, photo_png=PICTURE)
    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.5, 0.5))
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Done").click()

    ask(page)

    assert set(stored(service, service.worker.take())) == {"0"}


def test_a_mask_is_painted_by_keys_with_a_brush_of_another_size(visit: Visit, service: Service) -> None:
    page = visit().open()
    drop(page, photo_png=odd.plain((400, 400)))
    page.get_by_role("button", name="Paint a mask").focus()
    page.keyboard.press("Enter")
    brush = page.get_by_label("Brush")
    expect(page.locator("#painter-canvas")).to_be_focused()

    for key in "]]]":
        page.keyboard.press(key)
    expect(brush).to_have_value("20")
    page.keyboard.press("Space")
    page.keyboard.press("[")
    expect(brush).to_have_value("18")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")

    expect(page.get_by_role("button", name="Paint more")).to_be_focused()
    ask(page)
    mask = stored(service, service.worker.take())["mask"]
    # 80 pixels in the middle, and 72 whose middle is three times 36 further to the right.
    assert mask.getbbox() == (160, 160, 344, 240)


def test_a_finger_paints(visit: Visit, service: Service) -> None:
    page = visit(**PHONE).open()
    drop(page, photo_png=odd.plain((400, 400)))
    page.get_by_role("button", name="Paint a mask").tap()
    box = page.locator("#painter-canvas").bounding_box()
    assert box is not None

    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)

    assert painted(page, 0.25, 0.25)
    page.get_by_role("button", name="Done").tap()
    ask(page)
    mask = stored(service, service.worker.take())["mask"]
    assert (mask.getpixel((100, 100)), mask.getpixel((300, 300))) == (255, 0)


def test_a_model_that_cannot_edit_says_so_and_which_can(visit: Visit, service: Service) -> None:
    page = visit().open()
    page.get_by_label("Model").select_option("plain")
    expect(page.locator("#model-can")).to_contain_text("no edits")

    drop(page, photo_png=PICTURE)

    note = page.locator("#inputs-note")
    expect(note).to_have_text("Plain draws from words alone. To edit, choose:")
    ask(page)
    expect(page.locator("#inputs-others button").first).to_be_focused()
    assert service.worker.claim() is None
    expect(page.locator(".job")).to_have_count(0)
    expect(page.locator("#inputs-others button")).to_have_text(["Tiny", "Looks"])
    page.get_by_role("button", name="Looks").click()
    expect(note).to_have_text("Say above what should change.")
    expect(thumbs(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Paint a mask")).to_be_hidden()
    page.get_by_role("button", name="Draw").click()
    attempt = service.worker.take()
    assert set(stored(service, attempt)) == {"0"}


def test_a_model_that_needs_a_picture_asks_for_one(visit: Visit, service: Service) -> None:
    page = visit().open()
    page.get_by_label("Model").select_option("looks")

    ask(page)

    expect(page.locator("#inputs-note")).to_have_text("It draws nothing without a picture: add one.")
    expect(page.get_by_role("button", name="Add a picture")).to_be_focused()
    assert service.worker.claim() is None
    drop(page, photo_png=PICTURE)
    page.get_by_role("button", name="Draw").click()
    assert set(stored(service, service.worker.take())) == {"0"}


@pytest.mark.slow
def test_what_the_page_hears_of_models_takes_no_focus(visit: Visit) -> None:
    page = visit().open()
    drop(page, photo_png=PICTURE)
    remove = page.get_by_role("button", name="Remove photo.png")
    remove.focus()

    with page.expect_response("**/v1/models", timeout=30_000):
        pass

    expect(remove).to_be_focused()


def test_several_pictures_where_the_model_looks_at_several(visit: Visit, service: Service) -> None:
    page = visit().open()
    drop(page, first_png=PICTURE, second_png=BLUE)
    note = page.locator("#inputs-note")
    expect(note).to_have_text("Tiny takes one picture. Remove the others, or choose:")

    page.get_by_role("button", name="Looks").click()

    expect(note).to_contain_text("The first is the one that is edited.")
    expect(page.locator("#thumbs .tag")).to_have_text(["1", "2"])
    ask(page)
    attempt = service.worker.take()
    assert {name: file.getpixel((5, 5)) for name, file in stored(service, attempt).items()} == {
        "0": odd.RED,
        "1": (20, 40, 220),
    }


def test_where_a_model_takes_one_picture_another_takes_its_place(visit: Visit) -> None:
    page = visit().open()

    drop(page, first_png=PICTURE)
    expect(page.get_by_role("img", name="first.png")).to_be_visible()
    drop(page, second_png=BLUE)

    expect(page.get_by_role("img", name="second.png")).to_be_visible()
    expect(thumbs(page)).to_have_count(1)


def test_how_much_is_redrawn_is_asked_where_the_model_begins_with_the_picture(
    visit: Visit, service: Service
) -> None:
    page = visit().open()
    strength = page.get_by_label("How much is redrawn")
    expect(strength).to_be_hidden()
    drop(page, photo_png=PICTURE)
    expect(page.locator("#strength-said")).to_have_text("80 %")
    page.get_by_label("Model").select_option("looks")
    expect(strength).to_be_hidden()
    page.get_by_label("Model").select_option("")

    strength.focus()
    page.keyboard.press("Home")
    expect(page.locator("#strength-said")).to_have_text("5 %")
    ask(page)

    attempt = service.worker.take()
    assert service.worker.drawn[attempt.job_id].strength == 0.05


def test_what_the_service_says_of_a_picture_stands_at_it(visit: Visit) -> None:
    page = visit().open()
    whole = odd.plain((400, 400), "jpeg")
    drop(page, photo_jpg=whole[: len(whole) // 2])

    ask(page)

    problem = page.locator("#image-problem")
    expect(problem).to_have_text("The image is broken, or not whole.")
    expect(page.locator("#image")).to_be_focused()
    expect(thumbs(page)).to_have_count(1)
    drop(page, photo_png=PICTURE)
    expect(problem).to_be_empty()


def test_a_file_that_is_no_picture_is_said_to_be_none(visit: Visit) -> None:
    page = visit().open()

    drop(page, photo_png=PICTURE, notes_txt=b"no picture")

    expect(page.locator("#image-problem")).to_have_text(
        "“notes.txt” is no picture that this browser can read."
    )
    expect(thumbs(page)).to_have_count(1)


@pytest.mark.parametrize(
    ("name", "file", "size"),
    [
        pytest.param(
            "photo.gif", odd.encoded(odd.red(), "gif"), (8, 6), id="of a kind that the API does not take"
        ),
        # Which the API would turn, and browsers do not: what is seen is what is sent.
        pytest.param("photo.webp", odd.lying(6, "webp"), (16, 8), id="a webp that lies on its side"),
    ],
)
def test_what_is_seen_is_what_is_sent(
    visit: Visit, service: Service, name: str, file: bytes, size: tuple[int, int]
) -> None:
    page = visit().open()

    drop(page, **{name: file})
    expect(page.get_by_role("img", name="photo.png")).to_be_visible()
    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.1, 0.5))
    page.get_by_role("button", name="Done").click()
    ask(page)

    sent = stored(service, service.worker.take())
    assert {name: picture.size for name, picture in sent.items()} == {"0": size, "mask": size}


def test_a_result_is_the_next_input_and_is_compared_with_what_it_was(visit: Visit, service: Service) -> None:
    visitor = visit()
    page = visitor.open()
    ask(page, "a red apple")
    deliver(service, PICTURE)
    expect(newest(page).get_by_role("slider")).to_have_count(0)

    newest(page).get_by_role("button", name="Use as input").click()

    expect(thumbs(page)).to_have_count(1)
    expect(page.get_by_label("What should be drawn?")).to_be_focused()
    ask(page, "a blue apple")
    expect(newest(page)).to_contain_text("a blue apple")
    expect(newest(page).get_by_role("img", name="The picture that it begins with")).to_be_visible()
    deliver(service, BLUE)
    slider = newest(page).get_by_role("slider", name="Before and after")
    expect(slider).to_have_attribute("aria-valuetext", "50 % before")
    assert colours(page) == ["red", "blue"]
    visitor.shoot("result")

    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", "0 % before")
    assert colours(page) == ["blue", "blue"]
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 23, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 23, box["y"] + 30, steps=4)
    page.mouse.up()
    assert colours(page) == ["red", "red"]
    newest(page).get_by_role("button", name="Use as input").click()
    expect(thumbs(page)).to_have_count(1)


def colours(page: Page) -> list[str]:
    """Return what is seen of the newest picture at its left and at its right, below its handle and labels."""
    shot = Image.open(BytesIO(newest(page).locator(".picture").screenshot())).convert("RGB")
    places = [(round(shot.width * part), round(shot.height * 0.7)) for part in (0.1, 0.9)]
    return ["red" if pixel[0] > pixel[2] else "blue" for pixel in map(shot.getpixel, places)]


def test_the_same_again_with_its_pictures_until_the_page_is_left(visit: Visit, service: Service) -> None:
    page = visit().open()
    drop(page, photo_png=PICTURE)
    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.5, 0.5))
    page.get_by_role("button", name="Done").click()
    ask(page, "a hat")
    first = stored(service, service.worker.take())
    newest(page).get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Remove photo.png").click()

    newest(page).get_by_role("button", name="Again").click()

    expect(page.locator(".job")).to_have_count(2)
    again = stored(service, service.worker.take())
    assert {name: file.tobytes() for name, file in again.items()} == {
        name: file.tobytes() for name, file in first.items()
    }
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).locator(".state")).to_have_text("Cancelled.")
    page.reload()
    newest(page).get_by_role("button", name="Again").click()
    expect(page.locator("#image-problem")).to_have_text("This page no longer has photo.png: add it again.")
    expect(page.get_by_label("What should be drawn?")).to_have_value("a hat")
    assert service.worker.claim() is None


@pytest.mark.parametrize("look", LOOKING)
@pytest.mark.slow
def test_everybody_can_edit(
    visit: Visit, service: Service, look: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    visitor = visit(reduced_motion="reduce", **look)
    page = visitor.open()
    name = request.node.callspec.id
    fits = "document.documentElement.scrollWidth <= innerWidth"
    drop(page, photo_png=odd.encoded(Image.linear_gradient("L").resize((640, 400))))
    expect(thumbs(page)).to_have_count(1)
    assert accessibility_problems(page) == []
    assert page.evaluate(fits)

    page.get_by_role("button", name="Paint a mask").click()
    paint(page, (0.3, 0.4), (0.6, 0.5))
    assert accessibility_problems(page) == []
    assert page.evaluate(fits)
    visitor.shoot(f"edit-paint-{name}")

    page.get_by_role("button", name="Done").click()
    ask(page, "a tiny picture")
    deliver(service, odd.plain((640, 400)))
    expect(newest(page).get_by_role("slider")).to_be_visible()
    assert accessibility_problems(page) == []
    assert page.evaluate(fits)
    visitor.shoot(f"edit-{name}")
