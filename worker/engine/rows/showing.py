"""A preview on its way from a row to whoever watches it, beside everything that an image waits for."""

from contextlib import ExitStack

from worker.engine.beside.groups import alone
from worker.engine.beside.streams import Beside
from worker.engine.pictures.encoding import EncoderPool
from worker.engine.request import PreviewWatcher
from worker.engine.rows.decoding import Undecoded, decode_preview
from worker.engine.rows.drawing import Member
from worker.engine.rows.previews import Shot


def show(member: Member, beside: Beside, encoders: EncoderPool) -> None:
    """Decode, encode and tell the preview that the last tick brought, if it brought one.

    It is left out as soon as the image itself is being decoded. Whatever it raises, out of memory included,
    stays in futures that nobody reads: the image goes on as if there had been no preview.
    """
    shot = member.previews.start()
    if shot is not None:
        work = alone(lambda: _decode(member, shot, encoders), low=member.drawing.low)
        beside.add(work, None)


def _decode(member: Member, shot: Shot, encoders: EncoderPool) -> None:
    drawing, watcher = member.drawing, member.drawing.work.watcher
    with ExitStack() as failing:
        failing.callback(member.previews.arrive)
        if not member.is_on_its_way or not isinstance(watcher, PreviewWatcher):
            return
        preview = Undecoded(member.row, shot.latents, drawing.work.request.transparent)
        pixels = decode_preview(drawing.family, preview)
        image = drawing.members.index(member)
        sent = encoders.preview(
            drawing.encoding,
            pixels,
            image,
            lambda file: watcher.on_preview(image, shot.partial, file),
            lambda: member.is_on_its_way,
        )
        failing.pop_all()
        sent.add_done_callback(lambda _: member.previews.arrive())
