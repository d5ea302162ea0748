"""Stage 1: glyphs with their names, from three npm packages, as one folder of pictures and one list.

Takes ``@lobehub/fluent-emoji-3d`` 1.1.0 (3D renders, MIT), ``@iconify-json/noto`` 1.2.9 (flat drawings,
Apache-2.0) and ``emojibase-data`` 17.0.0 (names and keywords of the Unicode CLDR, MIT), unpacked.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import resvg_py
from PIL import Image

from training.files import write_json

FLAT_PX: Final = 384
MOST_TAGS: Final = 8
# Skin tones and flags: neither is a thing to draw.
LEFT_OUT_GROUPS: Final = {None, 2, 9}
VARIANT: Final = "-fe0f"


@dataclass(frozen=True)
class Glyph:
    """One thing: its name, other words for it, its CLDR group, and in which styles there is a picture."""

    label: str
    tags: tuple[str, ...]
    group: int
    styles: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where a glyph's pictures come from: a file, and a drawing."""

    glyph: Glyph
    rendered: Path | None
    drawing: str | None


def prepare(packages: Path, folder: Path) -> int:
    """Write every glyph's pictures and the list of them; return how many there are.

    Args:
        packages: holds the three packages, unpacked by npm (``node_modules``).
        folder: what is written: ``glyphs.json`` and ``glyphs/N-STYLE.webp``. Pictures that are there are
            kept, so a run that was cut goes on.
    """
    sources = list(_sources(packages))
    (folder / "glyphs").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda job: _write(folder, *job), enumerate(sources)))
    write_json(folder / "glyphs.json", [asdict(source.glyph) for source in sources])
    return len(sources)


def read(folder: Path) -> list[Glyph]:
    """Return the glyphs that were prepared."""
    rows = json.loads((folder / "glyphs.json").read_text(encoding="utf-8"))
    return [Glyph(row["label"], tuple(row["tags"]), row["group"], tuple(row["styles"])) for row in rows]


def picture(folder: Path, number: int, style: str) -> Path:
    """Return the file of a glyph's picture."""
    return folder / "glyphs" / f"{number}-{style}.webp"


def clean(words: str) -> str:
    """Return a name as captions use it."""
    plain = words.lower().replace("\u2019", "'").translate(str.maketrans("", "", "\u201c\u201d:,"))
    return re.sub(r"\s+", " ", plain).strip()


def _sources(packages: Path) -> Iterator[Source]:
    names = _json(packages / "emojibase-data" / "en" / "data.json")
    noto = packages / "@iconify-json" / "noto"
    icons, characters = _json(noto / "icons.json"), _json(noto / "chars.json")
    assets = packages / "@lobehub" / "fluent-emoji-3d" / "assets"
    rendered = {path.stem: path for path in assets.glob("*.webp")}
    for entry in names:
        label = clean(entry["label"])
        if entry.get("group") in LEFT_OUT_GROUPS or "facing right" in label:
            continue
        code = entry["hexcode"].lower()
        bare = code.replace(VARIANT, "")
        file = next((rendered[name] for name in (code, bare, code + VARIANT) if name in rendered), None)
        drawing = _drawing(icons, characters.get(code) or characters.get(bare))
        styles = tuple(name for name, found in (("3d", file), ("flat", drawing)) if found)
        if styles:
            tags = tuple(clean(tag) for tag in entry.get("tags", ())[:MOST_TAGS])
            yield Source(Glyph(label, tags, entry["group"], styles), file, drawing)


def _drawing(icons: Mapping[str, Any], name: str | None) -> str | None:
    if not name or name not in icons["icons"]:
        return None
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 128))
    height = icon.get("height", icons.get("height", 128))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{FLAT_PX}" height="{FLAT_PX}">{icon["body"]}</svg>'
    )


def _write(folder: Path, number: int, source: Source) -> None:
    if source.rendered is not None and not picture(folder, number, "3d").exists():
        with Image.open(source.rendered) as image:
            _save(image, picture(folder, number, "3d"))
    if source.drawing is not None and not picture(folder, number, "flat").exists():
        drawn = resvg_py.svg_to_bytes(svg_string=source.drawing, width=FLAT_PX, height=FLAT_PX)
        with Image.open(io.BytesIO(bytes(drawn))) as image:
            _save(image, picture(folder, number, "flat"))


def _save(image: Image.Image, path: Path) -> None:
    unfinished = path.with_suffix(".part")
    image.convert("RGBA").save(unfinished, "WEBP", quality=92, method=4)
    unfinished.replace(path)


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    return json.loads(path.read_text(encoding="utf-8"))
