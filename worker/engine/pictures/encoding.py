"""Encodes images beside the engine's thread and puts the finished request on its future."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple

from PIL import Image

from shared.catalogue import Sizes
from worker.engine.failures import translate
from worker.engine.models.findings import Findings
from worker.engine.pictures.canvas import Canvas
from worker.engine.pictures.codecs import encode
from worker.engine.pictures.pixels import Pixels, to_picture
from worker.engine.pictures.provenance import Provenance
from worker.engine.request import ImageRequest, ImageResult
from worker.engine.timed import Timed, timed
from worker.engine.work import Work

LEAST_THREADS: Final = 2
SPARED_CORES: Final = 2
"""For the engine's own threads."""


class Encoded(NamedTuple):
    """An image that was looked at and encoded."""

    inspected: Timed[None]
    file: Timed[bytes]


@dataclass(frozen=True)
class Encoding:
    """The images of one request on their way to files."""

    request: ImageRequest
    sizes: Sizes
    canvas: Canvas | None = None
    """Where a picture lies on what is drawn."""
    images: list[Future[Encoded]] = field(default_factory=list)

    def picture(self, pixels: Pixels) -> Image.Image:
        """Return generated pixels as a picture of exactly the asked size."""
        if self.canvas is not None:
            return self.canvas.finished(pixels)
        return to_picture(pixels, self.request.width, self.request.height, self.sizes)

    def shown(self, pixels: Pixels) -> Image.Image:
        """Return what an inspector looks at: what the model drew, or where it drew into a picture, the whole.

        What is cut off or added beside a picture that was drawn from nothing would only dilute what it shows.
        """
        return Image.fromarray(pixels) if self.canvas is None else self.picture(pixels)

    def provenance(self, image: int) -> Provenance:
        """Return what is written into the file of an image, counted from 0."""
        edited = self.request.edit is not None
        return Provenance(self.request.model, self.request.seeds[image], self._prompt_sha256, edited=edited)

    @cached_property
    def _prompt_sha256(self) -> str:
        return sha256(self.request.wording.words.encode()).hexdigest()


class EncoderPool:
    """A few threads that resample and encode, first come, first served."""

    def __init__(self, threads: int | None = None) -> None:
        """Start the threads: by default as many as the cores that this process may use, less its own."""
        several = threads or max(LEAST_THREADS, len(os.sched_getaffinity(0)) - SPARED_CORES)
        self._threads = ThreadPoolExecutor(several, thread_name_prefix="encoder")

    def add(self, encoding: Encoding, pixels: Pixels) -> None:
        """Start to encode one more image of a request."""
        encoding.images.append(self._threads.submit(_encode, pixels, encoding, len(encoding.images)))

    def check(self, encoding: Encoding) -> None:
        """Raise what one of the images raised so far, if one did."""
        for image in encoding.images:
            if image.done():
                image.result()

    def finish(self, encoding: Encoding, work: Work, findings: Findings, timings_s: dict[str, float]) -> None:
        """Put the request's result on its future as soon as all its images are encoded."""
        # The images were queued before this, so waiting for them here cannot block them.
        self._threads.submit(_collect, encoding, work, findings, timings_s)

    def preview(
        self,
        encoding: Encoding,
        pixels: Pixels,
        image: int,
        tell: Callable[[bytes], object],
        is_wanted: Callable[[], bool],
    ) -> Future[None]:
        """Encode a preview and tell it, unless it is wanted no more when its turn comes."""
        return self._threads.submit(_preview, encoding, pixels, image, tell, is_wanted)

    def close(self) -> None:
        """Wait for what was begun, and stop."""
        self._threads.shutdown()


def _encode(pixels: Pixels, encoding: Encoding, image: int, *, preview: bool = False) -> Encoded:
    """Return the encoded file, unless who looks at it refuses it."""
    request = encoding.request

    def inspect() -> None:
        if request.inspector is not None:
            request.inspector(encoding.shown(pixels), preview=preview)

    def encoded() -> bytes:
        provenance = encoding.provenance(image)
        picture = encoding.picture(pixels)
        return encode(picture, request.output_format, request.output_compression, provenance)

    return Encoded(timed(inspect), timed(encoded))


def _preview(
    encoding: Encoding,
    pixels: Pixels,
    image: int,
    tell: Callable[[bytes], object],
    is_wanted: Callable[[], bool],
) -> None:
    if is_wanted():
        file = _encode(pixels, encoding, image, preview=True).file.result
        if is_wanted():
            tell(file)


def _collect(encoding: Encoding, work: Work, findings: Findings, timings_s: dict[str, float]) -> None:
    try:
        images = [image.result() for image in encoding.images]
    except Exception as error:  # noqa: BLE001 - whatever it was, the request failed
        failure = translate(error, encoding.request.model)
        failure.__cause__ = error
        work.future.set_exception(failure)
        return
    if encoding.request.inspector is not None:
        timings_s["inspect"] = _tell(work, "inspect", [image.inspected for image in images])
    timings_s["encode"] = _tell(work, "encode", [image.file for image in images])
    files = tuple(image.file.result for image in images)
    work.future.set_result(ImageResult(files, findings.prompt_tokens, timings_s, findings.warnings))


def _tell(work: Work, stage: str, each: Sequence[Timed[Any]]) -> float:
    """Tell when a stage of each image was; return the seconds that all took."""
    for timed_ in each:
        work.tell_stage(stage, timed_.began_at, timed_.ended_at)
    return sum(timed_.seconds for timed_ in each)
