"""No key and no password on the screen or in any file, whatever server and settings say."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from batcher.cli import main as cli

KEY = "canary+key/0123456789/abcdef=="
SOMEBODYS = "sk-" + "proj-" + "z9" * 12
PASSWORD = "S3cretPassw0rd"
ESCAPED = "".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in KEY)
SLASHED = KEY.replace("/", "\\/")


class Server(ThreadingHTTPServer):
    """Answers every request alike."""

    status, body, location = 200, b"", ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def says(self, status: int, text: str, *, location: str = "") -> None:
        error = b'{"type":"error","error":{"type":"an_error","message":"%b"}}'
        answer = (
            b'{"type":"message","model":"%b","content":[{"type":"text","text":"it is %b"}],'
            b'"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}'
        )
        told = text.encode()
        self.body = answer % (told, told) if status == 200 else error % told
        self.status, self.location = status, location


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("location", self.server.location)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a real socket."""
    with Server(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with rows and a key in quotes, and an environment that names nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "1000")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n')
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(f'"{KEY}"\n')
    return tmp_path


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(list(words))
    return int(end.value.code or 0)


def job(here: Path, base_url: str) -> str:
    (here / "job.toml").write_text(
        'input = "rows.jsonl"\noutput = "out"\nlog.level = "debug"\n'
        'keys = [{source = "file:key"}]\n'
        f'[request]\nmodel = "m"\nbase_url = "{base_url}"\n'
    )
    return "job.toml"


def assert_without_keys(text: str) -> None:
    for secret in (KEY, SLASHED, ESCAPED, SOMEBODYS, PASSWORD):
        assert secret not in text


def assert_masked(out: Path, screen: str) -> None:
    assert_without_keys(screen)
    for path in out.iterdir():
        text = path.read_text()
        assert_without_keys(text)
        for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
            # Also when somebody reads the JSON and looks at what it means.
            assert_without_keys(str(orjson.loads(line)) if line else "")


@pytest.mark.socket
@pytest.mark.parametrize("verb", ["run", "try"])
@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize("spelt", [KEY, ESCAPED, SLASHED])
def test_a_key_in_an_answer_is_masked_everywhere(
    here: Path, server: Server, capsys, verb: str, status: int, spelt: str
) -> None:
    server.says(status, f"bad key {spelt}")

    call(verb, job(here, server.url))

    captured = capsys.readouterr()
    screen = captured.out + captured.err
    assert_without_keys(screen)
    if verb == "run":
        assert_masked(here / "out", screen)
        assert b"***" in b"".join(path.read_bytes() for path in (here / "out").glob("*.jsonl"))
    else:
        assert "***" in screen


@pytest.mark.socket
@pytest.mark.parametrize("status", [400, 401])
def test_somebody_elses_key_in_a_refusal_is_masked_everywhere(
    here: Path, server: Server, capsys, status: int
) -> None:
    server.says(status, f"upstream refused {SOMEBODYS}")

    assert call("run", job(here, server.url)) == (1 if status == 400 else 3)
    captured = capsys.readouterr()
    assert_masked(here / "out", captured.out + captured.err)
    assert "upstream refused ***" in (here / "out/log.jsonl").read_text()


@pytest.mark.socket
def test_an_answer_about_keys_is_recorded_as_it_came(here: Path, server: Server) -> None:
    server.says(200, f"like {SOMEBODYS}")

    assert call("run", job(here, server.url), "-q") == 0
    record = orjson.loads((here / "out/results.jsonl").read_bytes())
    assert record["text"] == f"it is like {SOMEBODYS}"


@pytest.mark.socket
@pytest.mark.parametrize("status", [302, 307])
def test_a_key_in_a_redirects_address_is_masked(
    here: Path, server: Server, capsys, status: int
) -> None:
    server.says(status, "elsewhere", location=f"http://other.test/{KEY}")

    assert call("run", job(here, server.url)) == 3
    captured = capsys.readouterr()
    assert "http://other.test/***" in captured.err
    assert_masked(here / "out", captured.out + captured.err)


@pytest.mark.parametrize("words", [("run", "rows.jsonl", "-o", "out"), ("try", "hello")])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_BASE_URL", f"http://bob:{PASSWORD}@127.0.0.1:1"),
        ("HTTPS_PROXY", f"http://bob:{PASSWORD}@127.0.0.1:{PASSWORD}"),
        ("HTTPS_PROXY", f"http://bob:{PASSWORD}@"),
    ],
)
def test_a_wrong_address_in_the_environment_is_told_before_anything_begins(
    here: Path, monkeypatch, capsys, words: tuple[str, ...], name: str, value: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv(name, value)

    assert call(*words, "-m", "m") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"batcher: {name} ")
    assert_without_keys(captured.out + captured.err)
    assert not (here / "out").exists()
