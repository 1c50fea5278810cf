from pathlib import Path

import pytest

from batcher.errors import StorageError
from batcher.storage.manifest import NAME, Manifest, diff, read, write


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = Manifest(
        batcher="0.1.0",
        status="halted",
        request={"model": "m", "system": "half \ud800"},
        counts={"ok": 3},
        in_doubt=[{"line": 1}],
    )

    write(tmp_path, manifest)

    again = read(tmp_path)
    assert again is not None
    assert again.request == {"model": "m", "system": "half \ufffd"}
    assert again.model_copy(update={"request": manifest.request}) == manifest
    assert (tmp_path / NAME).read_bytes().startswith(b'{\n  "batcher": "0.1.0",\n')


def test_no_run_has_no_manifest(tmp_path: Path) -> None:
    assert read(tmp_path) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"batcher": 3}', b"\0\0"])
def test_a_damaged_manifest_is_named_with_the_way_on(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)

    with pytest.raises(StorageError, match="move it away"):
        read(tmp_path)


def test_fields_of_a_newer_version_are_kept(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'{"batcher": "9", "colour": "red"}')

    manifest = read(tmp_path)
    assert manifest is not None
    write(tmp_path, manifest)

    assert b'"colour": "red"' in (tmp_path / NAME).read_bytes()


def test_secrets_are_masked(tmp_path: Path) -> None:
    manifest = Manifest(batcher="1", settings={"headers": {"x": "canary-1"}})

    write(tmp_path, manifest, clean=lambda data: data.replace(b"canary-1", b"***"))

    assert b"canary" not in (tmp_path / NAME).read_bytes()


def test_a_difference_is_named_in_words() -> None:
    old = {"model": "a", "max_tokens": 400, "headers": {"x": "1"}, "stop": [], "top_p": None}
    new = {"model": "a", "max_tokens": 800, "headers": {"y": "1"}, "temperature": 0.3, "stop": []}

    assert diff(old, new) == [
        'request.headers.x: "1" → (not set)',
        'request.headers.y: (not set) → "1"',
        "request.max_tokens: 400 → 800",
        "request.temperature: (not set) → 0.3",
    ]
    assert diff(old, dict(old)) == []
    assert diff({"a": {"b": 1}}, {"a": {"b": 2}}, name="") == ["a.b: 1 → 2"]
    assert diff({"sha": "a"}, {"sha": "b"}, name="template") == ['template.sha: "a" → "b"']


def test_long_texts_are_shown_where_they_differ() -> None:
    common = "You are a careful assistant. " * 100

    (sentence,) = diff({"system": common + "Be brief."}, {"system": common + "Be long."})

    assert len(sentence) < 200
    assert "brief" in sentence
    assert "long" in sentence
