import base64
from pathlib import Path

import orjson
import pytest

from batcher.errors import InputError, LockedError
from batcher.records import Failure, FailureKind, Outcome, Row, RowId, Status
from batcher.secret import MASK
from batcher.storage import manifest as manifests
from batcher.storage.durable import DirectoryLock
from batcher.storage.expected import strays
from batcher.storage.manifest import Manifest
from batcher.storage.results import FAILURES, RESULTS, RecordSink
from batcher.storage.rows import Choice, identity
from batcher.storage.verify import Report, repair, verify
from tests.storage.contract import an_outcome


def name(row: Row) -> str:
    return str(row.line) if row.problem else str(row.data["id"])


INPUT = (
    b'{"id":"r-1"}\n\n{"id":"r-3"}\nbroken\n{"id":"r-5"}\n{"id":"r-6"}\n{"id":"r-7"}\n{"id":"r-8"}'
)
FAILED = (4, 7)


def a_failure(line: int) -> Outcome:
    return Outcome(
        id=RowId("4" if line == 4 else f"r-{line}"),
        line=line,
        status=Status.INVALID if line == 4 else Status.FAILED,
        failure=Failure(kind=FailureKind.SERVER, message="x"),
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A finished run over seven rows."""
    source = tmp_path / "in.jsonl"
    source.write_bytes(INPUT)
    directory = tmp_path / "out"
    sink = RecordSink(directory)
    for line in (8, 1, 7, 3, 4, 6, 5):
        sink.write(a_failure(line) if line in FAILED else an_outcome(line))
    sink.close()
    say(directory, status="finished")
    return directory


def say(directory: Path, **what: object) -> None:
    source = directory.parent / "in.jsonl"
    fields = {
        "batcher": "1",
        "input": identity(source),
        "counts": {"ok": 5, "failed": 1, "invalid": 1},
    }
    manifests.write(directory, Manifest.model_validate(fields | what))


def lines(directory: Path, file: str) -> list[bytes]:
    return (directory / file).read_bytes().splitlines(keepends=True)


def put(directory: Path, file: str, data: list[bytes]) -> None:
    (directory / file).write_bytes(b"".join(data))


def quarantined(directory: Path) -> list[bytes]:
    path = directory / "quarantine.jsonl"
    if not path.exists():
        return []
    records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return [base64.b64decode(each["base64"]) for each in records]


def checked(directory: Path) -> Report:
    return verify(directory, row_id=name)


def test_a_finished_run_is_proved(directory: Path) -> None:
    report = checked(directory)

    assert report.sentences() == []
    assert report.ok
    assert report.rows == 7
    assert report.counts == {"ok": 5, "failed": 1, "invalid": 1}
    assert report.waiting == 0


def test_rows_without_record_wait_while_the_run_is_unfinished(directory: Path) -> None:
    put(directory, RESULTS, lines(directory, RESULTS)[1:3])
    say(directory, status="interrupted")

    report = checked(directory)

    assert not report.ok
    assert report.waiting == report.missing.count == 3
    assert report.sentences() == ["input lines that wait for the next run: 3 (5, 6, 8)"]


def test_rows_without_record_are_lost_when_the_run_is_finished(directory: Path) -> None:
    put(directory, FAILURES, lines(directory, FAILURES)[:1])

    report = checked(directory)

    assert report.missing.examples == ["4"]
    assert report.waiting == 0
    assert "lost" in report.sentences()[0]
    assert "run.json counts" in report.sentences()[1]


def test_every_kind_of_disorder_is_named_with_its_place(directory: Path) -> None:
    first, *rest = lines(directory, RESULTS)
    stranger = first.replace(b'"line":8', b'"line":2')
    swapped = rest[0].replace(b'"id":"r-1"', b'"id":"r-3"')
    put(directory, RESULTS, [first, swapped, *rest[1:], b"odd\n", first, stranger])
    failures = lines(directory, FAILURES)
    misplaced = orjson.dumps({"id": "r-5", "line": 5, "status": "ok"}) + b"\n"
    put(directory, FAILURES, [misplaced, *failures, b'{"id":"x","line":1'])

    report = checked(directory)

    assert report.odd.examples == [
        "results.jsonl:6 (not valid JSON: unexpected character, expected a JSON value)",
        report.odd.examples[1],
    ]
    assert report.odd.examples[1].startswith("failures.jsonl:4 (not valid JSON")
    assert report.repeated.examples == ["results.jsonl:7 (line 8)", "failures.jsonl:1 (line 5)"]
    assert report.strangers.examples == ["results.jsonl:8 (line 2)"]
    assert report.mismatched.examples == ["results.jsonl:2 (line 1, id 'r-3')"]
    assert report.misplaced.examples == ["failures.jsonl:1 (line 5, ok)"]
    assert not report.ok


def test_a_changed_input_is_noticed(directory: Path) -> None:
    source = directory.parent / "in.jsonl"
    source.write_bytes(INPUT.replace(b"r-3", b"r-4"))

    report = checked(directory)

    assert report.mismatched.count == 1
    assert "was changed" in report.sentences()[-1]


def test_appended_rows_are_missing(directory: Path) -> None:
    say(directory, status="interrupted")
    (directory.parent / "in.jsonl").write_bytes(INPUT + b'\n{"id":"r-9"}\n')

    assert checked(directory).sentences() == ["input lines that wait for the next run: 1 (9)"]


@pytest.mark.parametrize("lost", [0, 1])
def test_rows_appended_to_a_finished_run_wait_and_are_not_lost(directory: Path, lost: int) -> None:
    put(directory, RESULTS, lines(directory, RESULTS)[lost:])
    (directory.parent / "in.jsonl").write_bytes(INPUT + b'\n{"id":"r-9"}\n\n{"id":"r-11"}\n')

    report = checked(directory)

    waits = "input lines added to a finished run, that wait for the next run: 2 (9, 11)"
    assert waits in report.sentences()
    assert report.waiting == 2
    assert report.missing.examples == ["8"][:lost]
    assert len(report.sentences()) == 1 + 2 * lost


def test_the_choice_of_the_run_is_respected(directory: Path) -> None:
    put(directory, RESULTS, [x for x in lines(directory, RESULTS) if b'"line":8' not in x])
    say(directory, status="finished", choice=Choice(limit=6).settings(), counts=counts(directory))

    report = checked(directory)

    assert report.ok, report.sentences()
    assert report.rows == 6


def counts(directory: Path) -> dict[str, int]:
    return dict(verify(directory, row_id=name).counts)


def test_the_copy_of_a_stream_is_the_input(directory: Path) -> None:
    (directory.parent / "in.jsonl").rename(directory / "input.jsonl")
    say_nothing = Manifest(batcher="1", complete=False)
    manifests.write(directory, say_nothing)

    torn = checked(directory)
    manifests.write(directory, say_nothing.model_copy(update={"complete": True}))
    whole = checked(directory)

    assert torn.rows == 6
    assert [each.split(":")[0] for each in torn.sentences()] == [
        "records that belong to no row of the input",
        "the end of the input has never been seen",
    ]
    assert whole.ok


def test_a_limit_that_was_reached_needs_no_end_of_the_stream(directory: Path) -> None:
    (directory.parent / "in.jsonl").rename(directory / "input.jsonl")
    put(directory, RESULTS, [x for x in lines(directory, RESULTS) if b'"line":8' not in x])

    def sentences(limit: int) -> list[str]:
        choice = Choice(limit=limit).settings()
        manifests.write(directory, Manifest(batcher="1", complete=False, choice=choice))
        return checked(directory).sentences()

    assert sentences(6) == []
    assert "never been seen" in sentences(7)[0]


def test_without_an_input_nothing_can_be_proved(directory: Path) -> None:
    (directory / "run.json").unlink()

    with pytest.raises(InputError, match="name it"):
        checked(directory)
    assert verify(directory, row_id=name, input_path=directory.parent / "in.jsonl").ok


def test_repair_makes_it_true_and_drops_nothing(directory: Path) -> None:
    results, failures = lines(directory, RESULTS), lines(directory, FAILURES)
    odd, torn = b"odd \xff\n", b'{"id":"x","li'
    put(directory, RESULTS, [results[0], odd, *results[1:4], failures[0], results[0], torn])
    put(directory, FAILURES, [results[4], failures[1], results[1]])

    mended = repair(directory)

    assert checked(directory).sentences() == []
    assert lines(directory, RESULTS) == [*results[:4], results[4]]
    assert lines(directory, FAILURES) == failures
    assert mended.quarantined == 3
    assert mended.moved == 2
    assert [each.cut_bytes for each in mended.tails] == [len(torn)]
    assert sorted(quarantined(directory)) == sorted(
        [odd, torn, results[0], results[1], failures[0], results[4]]
    )


def mended(directory: Path) -> int:
    """How many lines a repair moves away that knows the input."""
    return repair(directory, stray=strays(directory, row_id=name)).quarantined


def with_strays(directory: Path) -> list[bytes]:
    """Put records of another run before the true ones, and give them back."""
    first, *rest = lines(directory, RESULTS)
    odd = [
        first.replace(b'"line":8', b'"line":99'),
        first.replace(b'"line":8', b'"line":2'),
        first.replace(b'"id":"r-8"', b'"id":"other"'),
    ]
    put(directory, RESULTS, [*odd, first, *rest])
    return odd


def test_repair_moves_records_of_another_run_away(directory: Path) -> None:
    """A line behind the input, a blank one, and an id that the row does not have."""
    before = lines(directory, RESULTS)
    odd = with_strays(directory)
    said = [each.split(":")[0] for each in checked(directory).sentences()]

    assert "records that belong to no row of the input, which --repair moves away" in said
    assert "records whose id is not that of their input row, which --repair moves away" in said
    assert mended(directory) == 3
    assert checked(directory).sentences() == []
    assert lines(directory, RESULTS) == before
    assert quarantined(directory) == odd


@pytest.mark.parametrize("how", ["edited", "gone", "cut", "unknown"])
def test_an_input_that_is_not_the_runs_own_condemns_no_record(directory: Path, how: str) -> None:
    """It may be the input that is wrong, and what was paid for is right."""
    with_strays(directory)
    before = (directory / RESULTS).read_bytes()
    source = directory.parent / "in.jsonl"
    match how:
        case "edited":
            source.write_bytes(INPUT.replace(b"r-3", b"r-4"))
        case "gone":
            source.unlink()
        case "cut":
            source.write_bytes(INPUT[:20])
        case _:
            (directory / "run.json").unlink()

    repair_only_second_records = mended(directory)

    kept = (directory / RESULTS).read_bytes()
    assert repair_only_second_records == 1
    assert len(kept.splitlines()) == len(before.splitlines()) - 1
    if how in {"edited", "cut"}:
        said = checked(directory).sentences()
        assert not any("no row of the input, which --repair" in each for each in said)
        assert "the run's own command says what differs" in said[-1]


def test_an_id_in_which_a_secret_was_masked_is_no_stray(directory: Path) -> None:
    """Asked again, it would be masked again."""
    first, *rest = lines(directory, RESULTS)
    put(directory, RESULTS, [first.replace(b'"r-8"', f'"r-{MASK}"'.encode()), *rest])

    assert mended(directory) == 0


def test_repair_goes_by_no_copy_whose_end_was_never_seen(directory: Path) -> None:
    (directory.parent / "in.jsonl").rename(directory / "input.jsonl")
    odd = with_strays(directory)
    manifests.write(directory, Manifest(batcher="1", complete=False))
    unknown = mended(directory)
    put(directory, RESULTS, [*odd, *lines(directory, RESULTS)])
    manifests.write(directory, Manifest(batcher="1", complete=True))

    assert unknown == 1
    assert mended(directory) >= len(odd)
    assert not checked(directory).strangers.count


def test_repair_of_what_is_sound_changes_nothing(directory: Path) -> None:
    before = {each.name: (each.stat().st_ino, each.read_bytes()) for each in directory.iterdir()}

    mended = repair(directory)

    after = {each.name: (each.stat().st_ino, each.read_bytes()) for each in directory.iterdir()}
    after.pop(".lock")
    before.pop(".lock", None)
    assert before == after
    assert (mended.quarantined, mended.moved, mended.tails) == (0, 0, [])


def test_rows_that_a_repair_leaves_without_record_wait_again(directory: Path) -> None:
    put(directory, RESULTS, [b"odd\n", *lines(directory, RESULTS)[1:]])

    repair(directory)

    report = checked(directory)
    assert report.sentences() == ["input lines that wait for the next run: 1 (8)"]
    manifest = manifests.read(directory)
    assert manifest is not None
    assert manifest.status == "interrupted"


def test_repair_does_not_touch_a_running_directory(directory: Path) -> None:
    with DirectoryLock(directory), pytest.raises(LockedError):
        repair(directory)


def test_many_findings_are_counted_and_some_are_shown(directory: Path) -> None:
    put(directory, RESULTS, [b"odd\n"] * 100)

    (_, odd, *_) = checked(directory).sentences()

    assert odd.startswith("lines that are no records, which --repair moves away: 100 (")
    assert odd.endswith("and 80 more)")
