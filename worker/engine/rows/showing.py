"""A preview on its way from a row to whoever watches it, beside everything that an image waits for."""

from contextlib import ExitStack

from worker.engine.encoding import EncoderPool
from worker.engine.request import PreviewWatcher
from worker.engine.rows.beside import Beside
from worker.engine.rows.decoding import decode_preview
from worker.engine.rows.job import Member
from worker.engine.rows.previews import Shot


def show(member: Member, beside: Beside, encoders: EncoderPool) -> None:
    """Decode, encode and tell the preview that the last tick brought, if it brought one.

    It is left out as soon as the image itself is being decoded. Whatever it raises, out of memory included,
    stays in futures that nobody reads: the image goes on as if there had been no preview.
    """
    shot = member.previews.start()
    if shot is not None:
        beside.run(lambda: _decode(member, shot, encoders))


def _decode(member: Member, shot: Shot, encoders: EncoderPool) -> None:
    job, watcher = member.job, member.job.work.watcher
    with ExitStack() as failing:
        failing.callback(member.previews.arrive)
        if not member.is_on_its_way or not isinstance(watcher, PreviewWatcher):
            return
        pixels = decode_preview(
            job.family, member.row, shot.latents, transparent=job.work.request.transparent
        )
        image = job.members.index(member)
        sent = encoders.preview(
            job.encoding,
            pixels,
            image,
            lambda file: watcher.on_preview(image, shot.partial, file),
            lambda: member.is_on_its_way,
        )
        failing.pop_all()
        sent.add_done_callback(lambda _: member.previews.arrive())
