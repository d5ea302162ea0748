"""The file of tunings: several processes write it at once, and none loses what another has found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import REPO_ROOT
from shared.tuning_file import Kept, KeptStage, TuningFile

STAGE = KeptStage(modes=("graph",), images=4, trials=({"mode": "plain"},))
KEPT = Kept(
    model="tiny",
    device="a GPU",
    level="full",
    found_at=1_700_000_000,
    libraries={"torch": "2"},
    weights="tiny-rgba",
    text=STAGE,
    denoise=STAGE,
    decode=STAGE,
)
WRITERS, ENTRIES = 4, 40
WRITER = """
import sys
from pathlib import Path
from shared.tuning_file import Kept, TuningFile
file, writer, entries = TuningFile(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
kept = Kept.model_validate_json(sys.argv[4])
sys.stdin.readline()
for i in range(entries):
    file.keep(f"{writer} {i}", kept)
"""


def test_several_processes_that_write_at_once_keep_everything_and_readers_find_a_whole_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep" / "tuning.json"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(i), str(ENTRIES), KEPT.model_dump_json()],
            stdin=subprocess.PIPE,
            cwd=REPO_ROOT,
        )
        for i in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    sizes = [0]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            sizes.append(len(json.loads(path.read_bytes())))

    assert [writer.returncode for writer in writers] == [0] * WRITERS
    assert sizes == sorted(sizes)
    found = TuningFile(path).read()
    assert set(found) == {f"{writer} {i}" for writer in range(WRITERS) for i in range(ENTRIES)}
    assert set(map(Kept.model_dump_json, found.values())) == {KEPT.model_dump_json()}
    assert sorted(each.name for each in path.parent.iterdir()) == ["tuning.json", "tuning.json.lock"]


def test_what_this_version_cannot_read_is_left_where_it_is(tmp_path: Path) -> None:
    file = TuningFile(tmp_path / "tuning.json")
    later = {"model": "tiny", "stages": ["of a later version"]}
    file.path.write_text(json.dumps({"later": later}))

    file.keep("ours", KEPT)

    assert file.read() == {"ours": KEPT}
    assert json.loads(file.path.read_bytes())["later"] == later


@pytest.mark.parametrize("text", ["", '{"a": [1', "[]", "\x00", '{"a": 1, "b": null}'])
def test_a_file_that_says_nothing_is_empty_and_can_be_written(tmp_path: Path, text: str) -> None:
    file = TuningFile(tmp_path / "tuning.json")
    file.path.write_text(text)

    assert file.read() == {}
    file.keep("one", KEPT)

    assert file.read() == {"one": KEPT}


def test_an_entry_takes_the_place_of_others(tmp_path: Path) -> None:
    file = TuningFile(tmp_path / "tuning.json")
    for name in ("one", "two", "three"):
        file.keep(name, KEPT)

    file.keep("two", KEPT.model_copy(update={"level": "quick"}), instead_of=("one", "two", "nobody"))

    assert {name: kept.level for name, kept in file.read().items()} == {"two": "quick", "three": "full"}


def test_where_nothing_can_be_written_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = TuningFile(tmp_path / "file" / "tuning.json")

    with pytest.raises(OSError, match="File exists"):
        file.check_writable()
    with pytest.raises(OSError, match="File exists"):
        file.keep("one", KEPT)
    assert file.read() == {}


def test_looking_whether_it_can_be_written_changes_nothing(tmp_path: Path) -> None:
    file = TuningFile(tmp_path / "tuning.json")
    file.keep("one", KEPT)
    before = file.path.read_bytes()

    file.check_writable()

    assert file.path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"tuning.json", "tuning.json.lock"}
