"""Receives the form of an edit: which of its parts are pictures, and where they go."""

from pathlib import Path
from typing import Final

from api.edits.pictures import Files
from api.edits.received import Received
from api.edits.request import EditRequest
from api.uploads.form import Came, FormReader, Place, twice
from shared.errors import InvalidField, UnsupportedParameter

IMAGE_NAMES: Final = frozenset({"image", "image[]", "images", "images[]"})
MASK_NAME: Final = "mask"


class FormReceiver:
    """Takes a form piece by piece.

    Args:
        boundary: what stands between its parts.
        folder: where its files are written.
        max_images: most images.
        max_file_bytes: the largest file.
    """

    def __init__(self, boundary: bytes, folder: Path, *, max_images: int, max_file_bytes: int) -> None:
        self._pictures = _Pictures(folder, max_images)
        once = EditRequest.model_fields
        self._reader = FormReader(boundary, self._pictures, once=once, max_file_bytes=max_file_bytes)

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            InvalidForm: it is no form.
            InvalidField: a part of it is not what it may be.
            UnsupportedParameter: a part of it would change what is drawn, and is not understood.
            BodyTooLarge: a file is larger than allowed.
        """
        self._reader.write(piece)

    def end(self) -> Received:
        """Return what came.

        Raises:
            InvalidForm: its end is missing.
        """
        self._reader.end()
        return self._pictures.received(dict(self._reader.texts))

    def close(self) -> None:
        """Close the file that was being written, where the form was given up."""
        self._reader.close()


class _Pictures:
    """The files of an edit's form."""

    def __init__(self, folder: Path, max_images: int) -> None:
        self._folder = folder
        self._max_images = max_images
        self._images: list[Path] = []
        self._mask: Path | None = None
        self._digests: dict[Path, str] = {}

    def place(self, name: str, filename: bytes | None) -> Place | None:
        """Return where a part goes that begins; None: it is a text."""
        if name == MASK_NAME:
            return self._place_mask()
        if name in IMAGE_NAMES:
            return self._place_image()
        if filename and name in EditRequest.cannot_honour:
            message = f"'{name}' is not supported: {EditRequest.cannot_honour[name]}."
            raise UnsupportedParameter(message, param=name)
        if filename:
            message = f"'{name}' takes no file."
            raise InvalidField(message, param=name)
        return None

    def came(self, file: Came) -> None:
        """Keep a file that is whole."""
        if file.filename == b"" and file.size_bytes == 0:
            # What a browser sends of a field in which no file was chosen.
            self._images = [path for path in self._images if path != file.path]
            self._mask = None if self._mask == file.path else self._mask
            return
        self._digests[file.path] = file.digest

    def received(self, texts: dict[str, str]) -> Received:
        """Return what came, with these texts."""
        files = Files(tuple(self._images), self._mask)
        return Received(texts, files, tuple(self._digests[path] for _, path in files.each()))

    def _place_mask(self) -> Place:
        if self._mask is not None:
            raise twice(MASK_NAME)
        self._mask = self._folder / "mask"
        return Place(self._mask, MASK_NAME)

    def _place_image(self) -> Place:
        if len(self._images) == self._max_images:
            message = f"There are more than {self._max_images} images."
            raise InvalidField(message, param="image")
        path = self._folder / f"image-{len(self._images)}"
        self._images.append(path)
        return Place(path, "image")
