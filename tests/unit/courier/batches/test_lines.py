"""Lines of a file in a store are found wherever they lie, and read again by where they lay."""

from pathlib import Path

import pytest

from api.store.files import object_name
from courier.batches.lines import Line, LineFile, LineTooLong, Problem, job_id_of, opened
from shared.objects import open_store
from shared.settings import ResultSettings

MIB = 1024**2
ENDPOINT = "/v1/images/generations"


def stored(folder: Path, content: bytes, max_line_bytes: int = 4 * MIB) -> LineFile:
    store = open_store(ResultSettings(urls=str(folder / "objects")))
    assert store is not None
    store.put(object_name("file-1"), content, "application/jsonl")
    return LineFile(store, "file-1", len(content), max_line_bytes)


async def every(paper: LineFile, number: int = 1, offset: int = 0) -> list[Line]:
    return [line async for line in paper.lines(number, offset)]


@pytest.mark.parametrize(
    "texts",
    [
        [b"a"],
        [b"a", b"", b"b\r", b""],
        [b"x" * (MIB - 1), b"y"],
        [b"x" * MIB, b"y"],
        [b"x" * (3 * MIB), b"y" * 10, b"z" * (2 * MIB + 7)],
        [b"%d" % i * 1000 for i in range(2000)],
    ],
    ids=["one", "blank", "ends with a part", "begins a part", "several parts", "many"],
)
@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_lines_are_whole_whatever_parts_they_come_in(
    tmp_path: Path, texts: list[bytes], end: bytes
) -> None:
    content = b"\n".join(texts) + end
    paper = stored(tmp_path, content)

    lines = await every(paper)

    expected = texts if texts[-1] or end else texts[:-1]
    assert [line.text for line in lines] == expected
    assert [line.number for line in lines] == list(range(1, len(expected) + 1))
    assert sum(line.size for line in lines) == len(content)
    for line in lines[:: max(1, len(lines) // 10)]:
        assert await paper.line(line.number, line.offset, line.size) == line
        assert (await every(paper, line.number, line.offset))[0] == line


async def test_a_line_without_an_end_is_given_up_before_it_is_all_in_memory(tmp_path: Path) -> None:
    paper = stored(tmp_path, b"a\n" + b"x" * (6 * MIB), max_line_bytes=2 * MIB)

    with pytest.raises(LineTooLong) as caught:
        await every(paper)

    assert caught.value.number == 2


async def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    paper = stored(tmp_path, b"a\n")
    paper.objects.delete([object_name("file-1")])

    with pytest.raises(FileNotFoundError):
        await every(paper)


def test_a_line_is_always_the_same_job_and_no_other_s() -> None:
    ids = {job_id_of(batch, number) for batch in ("batch_1", "batch_11") for number in range(1, 1000)}

    assert len(ids) == 2 * 999
    assert job_id_of("batch_1", 7) == job_id_of("batch_1", 7)
    assert len(job_id_of("batch_1", 7)) == 32


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"null", b"7", b'"x"', b"[" * 100_000, b"{" * 100_000, b'{"custom_id": "a"'],
    ids=["empty", "no UTF-8", "null", "number", "text", "deep", "deep objects", "cut"],
)
def test_what_is_no_object_is_a_problem_of_its_line(text: bytes) -> None:
    with pytest.raises(Problem) as caught:
        opened(Line(3, 0, text, len(text)), ENDPOINT)

    assert caught.value.told() == {
        "code": "invalid_json_line",
        "message": "This line is no JSON object.",
        "param": None,
        "line": 3,
    }
