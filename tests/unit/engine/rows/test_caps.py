"""How many rows one forward pass takes."""

import torch

from shared.catalogue import Catalogue
from shared.settings import REPO_ROOT
from worker.engine.rows.buckets import Key
from worker.engine.rows.caps import MOST_ROWS, Caps

CPU = torch.device("cpu")
# Nothing is asked of it but that it is no CPU.
ELSEWHERE = torch.device("meta")
GLYPH = Catalogue.load(REPO_ROOT / "models" / "catalog.toml").specs[0]
NATIVE = Key(GLYPH.name, GLYPH.sizes.native_width, GLYPH.sizes.native_height, 32)


def test_a_cpu_takes_one_row_a_pass_unless_told_otherwise() -> None:
    assert Caps(CPU).of(NATIVE) == 1
    assert Caps(CPU, fixed=4).of(NATIVE) == 4


def test_what_did_not_fit_is_halved_for_its_own_bucket_down_to_one() -> None:
    caps = Caps(CPU, fixed=8)
    caps.halve(NATIVE, 5)

    assert caps.of(NATIVE) == 2
    assert caps.of(NATIVE._replace(width=2 * NATIVE.width)) == 8
    caps.halve(NATIVE, 1)
    assert caps.of(NATIVE) == 1


def test_other_sizes_get_as_many_rows_as_make_the_same_number_of_pixels() -> None:
    caps = Caps(ELSEWHERE)
    caps.learn(GLYPH, 4)

    assert caps.of(NATIVE) == 4
    assert caps.of(NATIVE._replace(width=2 * NATIVE.width)) == 2
    assert caps.of(NATIVE._replace(width=1000 * NATIVE.width)) == 1
    assert caps.of(NATIVE._replace(width=NATIVE.width // 32)) == MOST_ROWS
    assert caps.of(NATIVE._replace(model="never heard of")) == 1
