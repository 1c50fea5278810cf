"""The HTTP edge: what is sent, and what every fault of server and network becomes."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from socket import SO_LINGER, SOL_SOCKET

import aiohttp
import pytest

from batcher.errors import ConfigError
from batcher.policy.help import hint
from batcher.records import AuthStyle, Failure, FailureKind, KeyRef, Response, Wire
from batcher.secret import Redactor, Secret
from batcher.transport.faults import NETWORK_FAULTS, failure_of
from batcher.transport.http import HttpTransport
from tests.support.aioresponses_shim import mocked_http

KEY = "sk-ant-api03-canary-canary-canary"
WIRE = Wire(path="/v1/messages", headers={"content-type": "application/json"}, body=b"{}")
OK = b"HTTP/1.1 200 OK\r\n"
OK_EMPTY = OK + b"connection: close\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def transport(
    auth: AuthStyle = AuthStyle.X_API_KEY, **settings: float
) -> AsyncIterator[HttpTransport]:
    redactor = Redactor()
    redactor.learn(Secret(KEY))
    http = HttpTransport(
        values={"a": Secret(KEY)},
        auth={"a": auth},
        redactor=redactor,
        connect_timeout_s=settings.get("connect_timeout_s", 5.0),
        first_byte_s=settings.get("first_byte_s"),
        user_agent="batcher/test",
    )
    try:
        yield http
    finally:
        await http.close()


def a_key(base_url: str) -> KeyRef:
    return KeyRef(alias="a", scope="a", base_url=base_url)


@pytest.fixture
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """There aiohttp's session does the work, and aioresponses stands in for it."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.test:3128")


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, heads: list[Message] | None = None) -> AsyncIterator[str]:
    """A server; it notes the heads of requests."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.read(65536)
            if heads is not None:
                heads.append(message_from_bytes(request.split(b"\r\n", 1)[1]))
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


def says(data: bytes) -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return serve


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


async def sent_to(serve: Serve, *, deadline_s: float = 5.0) -> Response | Failure:
    async with serving(serve) as url, transport() as http:
        return await http.send(WIRE, a_key(url), deadline_s=deadline_s)


_STYLES = [
    (AuthStyle.X_API_KEY, "x-api-key", KEY),
    (AuthStyle.BEARER, "Authorization", f"Bearer {KEY}"),
    (AuthStyle.NONE, "x-api-key", None),
]


@pytest.mark.parametrize(("auth", "name", "value"), _STYLES)
async def test_the_key_travels_in_one_header_only(
    auth: AuthStyle, name: str, value: str | None
) -> None:
    heads: list[Message] = []
    async with serving(says(OK_EMPTY), heads) as url, transport(auth) as http:
        assert isinstance(await http.send(WIRE, a_key(url), deadline_s=5), Response)

    assert_key(heads[0], name, value)


@pytest.mark.usefixtures("_proxy")
@pytest.mark.parametrize(("auth", "name", "value"), _STYLES)
async def test_behind_a_proxy_too(auth: AuthStyle, name: str, value: str | None) -> None:
    with mocked_http() as mocked:
        mocked.post("https://api.test/v1/messages", payload={"ok": 1})
        async with transport(auth) as http:
            response = await http.send(WIRE, a_key("https://api.test"), deadline_s=5)

    assert isinstance(response, Response)
    assert str(mocked.calls[0].kwargs["proxy"]) == "http://proxy.test:3128"
    assert_key(mocked.calls[0].kwargs["headers"], name, value)


def assert_key(headers: Mapping[str, str] | Message, name: str, value: str | None) -> None:
    assert headers.get(name) == value
    assert len([each for each in headers.values() if KEY in each]) == (value is not None)
    assert headers["User-Agent"] == "batcher/test"
    assert headers["content-type"] == "application/json"


async def test_a_change_of_headers_key_or_server_holds_from_the_next_request_on() -> None:
    keys = {"a": Secret(KEY)}
    http = HttpTransport(
        values=keys,
        auth={"a": AuthStyle.X_API_KEY},
        redactor=Redactor(),
        connect_timeout_s=5.0,
        user_agent="batcher/test",
    )
    other = Wire(path=WIRE.path, headers={"anthropic-beta": "b"}, body=b"{}")
    sent: list[Message] = []
    async with serving(says(OK_EMPTY), sent) as one, serving(says(OK_EMPTY), sent) as two:
        await http.send(WIRE, a_key(one), deadline_s=5)
        await http.send(other, a_key(one), deadline_s=5)
        keys["a"] = Secret("sk-another-key")
        await http.send(other, a_key(one), deadline_s=5)
        await http.send(other, a_key(two), deadline_s=5)
    await http.close()

    assert [each["x-api-key"] for each in sent] == [KEY, KEY, "sk-another-key", "sk-another-key"]
    assert [each.get("anthropic-beta") for each in sent] == [None, "b", "b", "b"]
    assert [f"http://{each['Host']}" for each in sent] == [one] * 3 + [two]


async def test_a_header_that_cannot_be_sent_names_the_setting() -> None:
    wire = Wire(path=WIRE.path, headers={"x-mine": "a\r\nb"}, body=b"{}")
    async with transport() as http:
        with pytest.raises(ConfigError, match=r"request\.headers.*x-mine"):
            await http.send(wire, a_key("http://host.test"), deadline_s=5)


async def test_the_body_comes_back_whole_with_the_key_masked() -> None:
    body = b'{"echo": "' + KEY.encode() + b'"}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nrequest-id: r1\r\n\r\n" % len(body)
    response = await sent_to(says(head + body))

    assert isinstance(response, Response)
    assert response.body == b'{"echo": "***"}'
    assert response.headers["Request-Id"] == "r1"


async def test_a_body_that_spells_the_key_in_escapes_is_masked() -> None:
    body = b'{"echo": "' + KEY.replace("-", "\\u002d").encode() + b'"}'
    response = await sent_to(says(OK + b"content-length: %d\r\n\r\n" % len(body) + body))

    assert isinstance(response, Response)
    assert response.body == b'{"echo": "***"}'


async def test_the_key_in_the_headers_of_a_refusal_is_masked() -> None:
    location = b"location: http://other.test/?k=" + KEY.encode()
    response = await sent_to(
        says(b"HTTP/1.1 307 Moved\r\n" + location + b"\r\ncontent-length: 0\r\n\r\n")
    )

    assert isinstance(response, Response)
    assert response.headers["Location"] == "http://other.test/?k=***"


async def test_a_redirect_is_not_followed() -> None:
    response = await sent_to(
        says(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
    )

    assert isinstance(response, Response)
    assert response.status == 302


@pytest.mark.parametrize(
    ("serve", "kind"),
    [
        (says(b""), FailureKind.CONNECTION),
        (resets, FailureKind.CONNECTION),
        (says(OK + b"content-length: 100\r\n\r\nonly this"), FailureKind.CONNECTION),
        (says(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab"), FailureKind.CONNECTION),
        (
            says(OK + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"),
            FailureKind.CONNECTION,
        ),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), FailureKind.BAD_RESPONSE),
        (says(OK + b"\x00\xff: \x01\r\n\r\n"), FailureKind.BAD_RESPONSE),
    ],
)
async def test_what_a_server_does_wrong_is_a_failure_and_never_an_exception(
    serve: Serve, kind: FailureKind
) -> None:
    failure = await sent_to(serve)

    assert isinstance(failure, Failure)
    assert failure.kind is kind


async def test_a_server_that_never_answers_costs_no_more_than_the_deadline() -> None:
    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    failure = await sent_to(hang, deadline_s=30.0)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.TIMEOUT
    assert asyncio.get_running_loop().time() == pytest.approx(30, abs=1)


async def test_a_byte_a_second_does_not_outlast_the_deadline() -> None:
    async def loris(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(1)

    failure = await sent_to(loris, deadline_s=30.0)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize(("first_after_s", "kind"), [(5, None), (15, FailureKind.TIMEOUT)])
async def test_an_answer_must_begin_in_time_and_then_has_the_whole_deadline(
    first_after_s: float, kind: FailureKind | None
) -> None:
    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(first_after_s)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{")
        await asyncio.sleep(40)
        writer.write(b"}")

    async with serving(slow) as url, transport(first_byte_s=10.0) as http:
        came = await http.send(WIRE, a_key(url), deadline_s=60.0)

    assert (came.kind if isinstance(came, Failure) else None) is kind
    if isinstance(came, Failure):
        assert came.message == "no beginning of an answer within 10 s"


async def test_a_port_nobody_listens_on_is_a_connection_failure() -> None:
    async with transport() as http:
        failure = await http.send(WIRE, a_key("http://127.0.0.1:1"), deadline_s=5)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CONNECTION


async def test_speaking_tls_to_a_plain_server_stops_the_run() -> None:
    async with serving(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url, transport() as http:
        failure = await http.send(WIRE, a_key(url.replace("http:", "https:")), deadline_s=5)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.TLS


@pytest.mark.parametrize("url", ["ftp://host", "no-scheme", "http://"])
async def test_a_base_url_that_is_none_names_the_field(url: str) -> None:
    async with transport() as http:
        with pytest.raises(ConfigError, match="base_url"):
            await http.send(WIRE, a_key(url), deadline_s=5)


async def test_the_environments_proxy_is_used_except_where_it_says_no(monkeypatch) -> None:
    seen = []

    async def proxy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("proxy")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    async with serving(proxy) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "direct.test")
        async with transport() as http:
            response = await http.send(WIRE, a_key("http://api.test"), deadline_s=5)
            await http.send(WIRE, a_key("http://direct.test"), deadline_s=5)

    assert isinstance(response, Response)
    assert seen == ["proxy"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_its_user_is_told_without_the_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    async with serving(says(refusal)) as url:
        proxy = url.replace("http://", "http://bob:S3cretPassw0rd@")
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.setenv(name, proxy)
        async with transport() as http:
            failure = await http.send(WIRE, a_key(f"{scheme}://api.test"), deadline_s=5)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CONNECTION
    assert failure.message == (
        "the proxy refuses the user or password in HTTPS_PROXY or HTTP_PROXY: "
        "407 Proxy Authentication Required"
    )
    assert "check HTTPS_PROXY" in str(hint(failure))


@pytest.mark.parametrize("password", ["S3cretPassw0rd", "p@S3cretPassw0rd"])
def test_no_fault_shows_the_user_of_an_address(password: str) -> None:
    fault = aiohttp.ClientConnectionError(f"an HTTPS proxy http://bob:{password}@proxy:1 ssl")

    assert failure_of(fault).message == "the connection failed: an HTTPS proxy http://proxy:1 ssl"


async def test_every_network_fault_of_aiohttp_has_its_place_in_the_table() -> None:
    for fault in (
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError("cut"),
        ssl.SSLError("bad record"),
        ConnectionResetError(104, "reset"),
        EOFError(),
        ValueError("bad header"),
    ):
        assert isinstance(fault, NETWORK_FAULTS)
        assert failure_of(fault).message
