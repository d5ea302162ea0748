"""One request in the row engine: its rows, how far they are, and where its images go."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter

import torch

from worker.engine.beside.texts import Entries
from worker.engine.models.arguments import Call
from worker.engine.models.findings import Findings
from worker.engine.models.loading import LoadedModel
from worker.engine.pictures.canvas import Canvas
from worker.engine.pictures.encoding import EncoderPool, Encoding
from worker.engine.pictures.pixels import Pixels
from worker.engine.request import PreviewWatcher
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.pictures import EncodedPictures, Pictures
from worker.engine.rows.families.plans import Noise
from worker.engine.rows.previews import Previews, preview_steps
from worker.engine.rows.row import Row
from worker.engine.timed import Timed, timed
from worker.engine.work import Work


@dataclass(eq=False)
class Member:
    """One row and the drawing it belongs to."""

    row: Row
    drawing: "Drawing"
    previews: Previews = field(default_factory=Previews)
    pixels: Future[Timed[Pixels]] | None = None
    """Once all steps are done."""

    @property
    def is_on_its_way(self) -> bool:
        """Whether a preview still says something: the image itself is not being decoded yet."""
        return self.pixels is None and not self.drawing.has_ended


@dataclass(eq=False)
class Drawing:
    """A request whose images are being drawn."""

    work: Work
    model: LoadedModel
    family: RowFamily
    load_s: float
    findings: Findings
    call: Call
    text: Future[Timed[Entries]]
    noise: Sequence[Future[Noise]]
    canvas: Canvas | None = None
    pictures: Future[Pictures] | None = None
    """Of an edit."""
    encoded: Future[Timed[EncodedPictures]] | None = None
    """The same, once they have been prepared."""
    members: Sequence[Member] = ()
    has_ended: bool = False
    encoding: Encoding = field(init=False)
    _began_at: float = field(default_factory=perf_counter)
    _stepped_at: float = field(default_factory=perf_counter)
    _denoise_s: float = 0.0
    _decode_s: float = 0.0
    _handed_on: int = 0

    def __post_init__(self) -> None:
        self.encoding = Encoding(self.work.request, self.model.spec.sizes, self.canvas)

    @property
    def low(self) -> bool:
        """Whether it makes way for every drawing that is not."""
        return self.work.request.low

    @property
    def is_denoised(self) -> bool:
        """Whether all steps of all images are done."""
        return len(self.members) > 0 and all(member.row.is_done for member in self.members)

    @property
    def images(self) -> int:
        """How many images are asked for; each is a row."""
        return len(self.work.request.seeds)

    @property
    def steps(self) -> int:
        """How many steps each image takes."""
        edit, steps = self.work.request.edit, self.work.request.steps
        return steps if edit is None else steps - self.family.first_step(steps, edit.strength)

    @property
    def is_to_encode(self) -> bool:
        """Whether its pictures are ready to be encoded, and are not yet."""
        return self.pictures is not None and self.pictures.done() and self.encoded is None

    @property
    def is_prepared(self) -> bool:
        """Whether all that its rows begin with is there."""
        if self.pictures is not None and (self.encoded is None or not self.encoded.done()):
            return False
        return self.text.done() and all(each.done() for each in self.noise)

    def begin_rows(self) -> Sequence[Member]:
        """Begin the rows; it is prepared.

        Raises:
            Exception: whatever preparing them raised.
        """
        text = self.text.result()
        rows = timed(lambda: [self._begin(text.result, each.result()) for each in self.noise])
        self._denoise_s += text.seconds + rows.seconds
        if self.encoded is not None:
            self._denoise_s += self.encoded.result().seconds
        steps = preview_steps(self.steps, self._previews)
        self.members = [Member(row, self, Previews(steps)) for row in rows.result]
        return self.members

    def _begin(self, entries: Entries, noise: Noise) -> Row:
        row, edit = self.family.begin(self.call, entries, noise), self.work.request.edit
        if edit is not None and self.encoded is not None:
            self.family.begin_with(row, noise, self.encoded.result().result, edit)
        return row

    def tensors(self) -> Iterator[torch.Tensor]:
        """Return every tensor that its preparation made."""
        if self.encoded is not None:
            yield from self.encoded.result().result.tensors()
        for member in self.members:
            yield from member.row.tensors()

    @property
    def _previews(self) -> int:
        """How many previews are wanted of each image: none where nobody would take them."""
        watches = isinstance(self.work.watcher, PreviewWatcher)
        return self.work.request.partial_images if watches else 0

    def tell(self, seconds: float = 0.0) -> None:
        """Tell the watcher how many steps of all the images are done; ``seconds`` were just spent on some."""
        self._denoise_s += seconds
        self._stepped_at = perf_counter()
        done = sum(member.row.steps_done for member in self.members)
        self.work.watcher.on_step(done, self.steps * self.images)

    def hand_on(self, encoders: EncoderPool) -> bool:
        """Hand decoded images on, in order; whether that was all, and the result will follow.

        Raises:
            Exception: whatever decoding or encoding one of them raised.
        """
        # One that is refused while others are still denoised ends them too.
        encoders.check(self.encoding)
        for member in self.members[self._handed_on :]:
            if member.pixels is None or not member.pixels.done():
                return False
            pixels = member.pixels.result()
            self._decode_s += pixels.seconds
            self.work.tell_stage("decode", pixels.began_at, pixels.ended_at)
            encoders.add(self.encoding, pixels.result)
            self._handed_on += 1
        if self._handed_on < self.images:
            return False
        self.tell_denoised()
        encoders.finish(self.encoding, self.work, self.findings, self._timings_s())
        return True

    def tell_denoised(self) -> None:
        """Tell the watcher from when to when steps were prepared and taken, be they all or not."""
        self.work.tell_stage("denoise", self._began_at, self._stepped_at)

    def _timings_s(self) -> dict[str, float]:
        return {
            "queue": self._began_at - self.work.submitted_at - self.load_s,
            "load": self.load_s,
            "denoise": self._denoise_s,
            "decode": self._decode_s,
        }
