"""The local model's process: real llama.cpp, real signals."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from batcher.errors import ConfigError, MissingExtraError
from batcher.job import Local
from batcher.local.model import ensure_model
from batcher.local.server import LocalModel, gist

pytestmark = pytest.mark.real_time

PARENT = """
import asyncio, signal, sys
from batcher.job import Local
from batcher.local.server import LocalModel

async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, told.set)
    async with LocalModel(Local(model_path=sys.argv[1]), lambda _: None) as model:
        print(model.base_url, flush=True)
        await told.wait()
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture
def model_path(tmp_path):
    """The real model under a path of this test's own, by which its processes are found."""
    link = tmp_path / "model.gguf"
    link.symlink_to(asyncio.run(ensure_model(Local(), lambda _: None)))
    return link


@contextmanager
def a_parent(path):
    """A process of its own session that keeps a model until told `done` after a SIGINT."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as parent:
        try:
            yield parent
        finally:
            parent.kill()


def holders(path: Path) -> list[int]:
    """Processes whose orders name this model file, zombies left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"child.py" in line and str(path).encode() in line:
            found.append(int(folder.name))
    return found


def wait_for(path: Path, count: int) -> bool:
    """Whether so many processes hold this model before 20 s are over."""
    end = time.monotonic() + 20
    while len(holders(path)) != count and time.monotonic() < end:
        time.sleep(0.02)
    return len(holders(path)) == count


def ask(url: str, body: Any) -> Any:
    """One POST of JSON."""
    head = {"content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url, orjson.dumps(body), head), timeout=60
    ) as answer:
        return orjson.loads(answer.read())


def say_hello(base_url: str) -> Any:
    """One short answer of the model."""
    messages = [{"role": "user", "content": "Say hello."}]
    body = {"model": "any", "max_tokens": 4, "messages": messages}
    return ask(f"{base_url}/v1/messages", body)


def test_the_first_error_of_llama_is_what_went_wrong():
    said = (
        "0.00.002.572 W srv          init: security: no API key is set\n"
        "0.00.004.386 E gguf_init_from_reader: failed to read magic\n"
        "0.00.004.975 E llama_model_load_from_file_impl: failed to load model\n"
        "RuntimeError: Failed to init server\n"
    )

    assert gist(said) == "gguf_init_from_reader: failed to read magic"


def test_a_missing_system_library_comes_with_the_package_to_install():
    said = "Traceback ...\nImportError: libgomp.so.1: cannot open shared object file\n"

    assert gist(said).startswith("ImportError: libgomp.so.1")
    assert "apt-get install libgomp1" in gist(said)
    assert gist("") == ""


async def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'batcher\[local\]'"):
        await LocalModel(Local(), lambda _: None).start()


async def test_a_file_that_is_no_model_is_named_with_the_reason(tmp_path):
    pytest.importorskip("xllamacpp")
    file, log = tmp_path / "prose.gguf", tmp_path / "llama.log"
    file.write_text("not a model")
    model = LocalModel(Local(model_path=str(file), threads=1), lambda _: None, log=log)

    with pytest.raises(ConfigError, match=r"prose\.gguf did not start: .*magic"):
        await model.start()
    assert model.base_url == ""
    assert holders(file) == []
    assert b"failed to load model" in log.read_bytes()


async def test_stopping_what_never_started_is_fine():
    model = LocalModel(Local(), lambda _: None)
    await model.stop()

    assert model.base_url == ""


@pytest.mark.slow
async def test_it_answers_in_both_wire_formats_under_its_own_name(capfd):
    async with LocalModel(Local(), lambda _: None) as model:
        hello = await asyncio.to_thread(say_hello, model.base_url)
        chat = await asyncio.to_thread(
            ask,
            f"{model.base_url}/v1/chat/completions",
            {"model": "x", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]},
        )

    assert hello["model"] == chat["model"] == model.name == "smollm2-135m-instruct"
    assert hello["content"][0]["text"]
    assert chat["choices"][0]["message"]["content"]
    assert model.base_url == ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
async def test_two_models_run_side_by_side_and_end_when_stopped(model_path):
    settings = Local(model_path=str(model_path), threads=1)
    one, two = LocalModel(settings, print), LocalModel(settings, print)
    async with asyncio.TaskGroup() as group:
        group.create_task(one.start())
        group.create_task(two.start())
    urls = {one.base_url, two.base_url}
    running = holders(model_path)
    await one.stop()
    left = holders(model_path)
    answer = await asyncio.to_thread(say_hello, two.base_url)
    await two.stop()
    await two.stop()

    assert len(urls) == len(running) == 2
    assert len(left) == 1
    assert answer["content"][0]["text"]
    assert holders(model_path) == []


@pytest.mark.slow
async def test_a_model_that_hangs_is_killed(model_path):
    model = LocalModel(Local(model_path=str(model_path), threads=1), print)
    await model.start()
    (pid,) = holders(model_path)
    os.kill(pid, signal.SIGSTOP)
    await model.stop()

    assert holders(model_path) == []


@pytest.mark.slow
async def test_giving_up_while_it_loads_leaves_no_process(model_path):
    model = LocalModel(Local(model_path=str(model_path), threads=1), print)
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(model.start())
        assert await asyncio.to_thread(wait_for, model_path, 1)
        starting.cancel()

    assert starting.cancelled()
    assert holders(model_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_up", [False, True], ids=["while loading", "when up"])
def test_a_killed_parent_leaves_no_orphan(model_path, is_up):
    with a_parent(model_path) as parent:
        if is_up:
            assert parent.stdout.readline().startswith("http://127.0.0.1:")
        assert wait_for(model_path, 1)
        parent.kill()
        parent.wait()

        assert wait_for(model_path, 0)


@pytest.mark.slow
def test_signals_to_the_group_leave_the_model_to_its_parent(model_path):
    """Requests in flight are finished after the first Ctrl-C, so the model must outlive it."""
    with a_parent(model_path) as parent:
        url = parent.stdout.readline().strip()
        os.killpg(parent.pid, signal.SIGINT)
        (child,) = holders(model_path)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(child, number)
        answer = say_hello(url)
        parent.communicate("done\n", timeout=20)

    assert answer["content"][0]["text"]
    assert parent.returncode == 0
    assert holders(model_path) == []
