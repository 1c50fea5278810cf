"""JSON read with patience, texts for people, base URLs, and the size of a prompt."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.errors import ConfigError
from batcher.providers.wire import (
    IMAGE_CHARS,
    input_chars,
    normal_base_url,
    one_line,
    read_body,
    read_json,
    request_id_of,
    what_came,
    write_json,
)
from batcher.records import Prompt, Response


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'  \n\n{"a": 1}\n', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\uD83D\u0041"', "\ufffdA"),
        (rb'["\\ud83d", "\\\ud83d"]', ["\\ud83d", "\\\ufffd"]),
        (b'{"a": Infinity, "b": "line\nbreak"}', {"a": float("inf"), "b": "line\nbreak"}),
        (b'{"a": NaN, "b": 123456789012345678901234567890}', None),
        (b"", None),
        (b'{"a": 1', None),
        (b'{"a": "\xe9"}', None),
        (b"[" * 200_000, None),
    ],
)
def test_json_is_read_with_patience(body: bytes, value: object) -> None:
    found = read_json(body)

    if value is None and found is not None:  # NaN equals nothing, itself included
        assert isinstance(found, dict)
        assert found["a"] != found["a"]
        assert found["b"] == 1.2345678901234568e29
    else:
        assert found == value


@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: f'"{text}"'.encode()))
def test_what_was_read_can_be_written(body: bytes) -> None:
    value = read_json(body)

    if value is not None:
        written = write_json(value)
        assert written is not None
        orjson.loads(written)


@given(text=st.text(max_size=2000), limit=st.integers(10, 500))
def test_a_line_for_a_message_is_short_and_fit_to_show(text: str, limit: int) -> None:
    line = one_line(text, limit)

    assert len(line) <= limit
    assert not any(ord(letter) < 32 for letter in line)
    line.encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"),
        (b"  \r\n", "an empty body"),
        (b"<!DOCTYPE html><title> Log\n in </title>", 'an HTML page ("Log in"), perhaps from a'),
        (b"\xef\xbb\xbf<HTML><body>", "an HTML page, perhaps from a proxy,"),
        (b"<?xml version='1.0'?><Error/>", "text that is no JSON"),
        (b'{"choices": [{"mess', "JSON that is broken or cut off after 19 bytes"),
        (b"\xff\xfe\x00", "3 bytes that are not UTF-8 text"),
        (b"[1, 2]", "JSON that is no object ([1, 2])"),
        (b"upstream connect error", 'text that is no JSON ("upstream connect error")'),
    ],
)
def test_a_body_without_an_answer_is_described_for_a_person(body: bytes, words: str) -> None:
    assert what_came(Response(status=200, headers={}, body=body)).startswith(words)


def test_a_huge_page_is_described_in_a_sentence() -> None:
    page = b"<html><title>" + b"x" * 100_000 + b"</title>" + b"<p>" * 100_000

    assert len(what_came(Response(status=502, headers={}, body=page))) < 200


def test_the_request_id_comes_from_headers_before_the_body() -> None:
    assert request_id_of({"request-id": "a", "x-request-id": "b"}, {"id": "c"}) == "a"
    assert request_id_of({"x-request-id": "b"}, {"id": "c"}) == "b"
    assert request_id_of({}, {"request_id": "c", "id": "d"}) == "c"
    assert request_id_of({}, {"id": "d"}) == "d"
    assert request_id_of({}, {"id": 7}) is None
    assert request_id_of({"request-id": "a\udcff\x1b[31m"}) == "a\ufffd\ufffd[31m"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000",
        "http://localhost:8000/",
        " http://localhost:8000/v1 ",
        "http://localhost:8000/v1/",
        "http://localhost:8000/v1/chat/completions",
        "http://localhost:8000/v1/messages/",
        "http://localhost:8000/v1/complete",
    ],
)
def test_a_base_url_may_be_written_in_any_usual_way(url: str) -> None:
    assert normal_base_url(url) == "http://localhost:8000"


def test_a_base_urls_own_path_is_kept() -> None:
    assert normal_base_url("https://openrouter.ai/api/v1") == "https://openrouter.ai/api"
    assert normal_base_url("https://example.com/dev1") == "https://example.com/dev1"


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://example.com", "/v1"])
def test_what_is_no_web_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match=r"request\.base_url.*http"):
        normal_base_url(url)


@pytest.mark.parametrize("rest", ["?api_key=hush", "/v1?hush", "/#hush", "?", "/x#"])
def test_a_base_url_with_a_query_is_refused_and_not_repeated(rest: str) -> None:
    """Nothing can be appended to it, and a key in it would come into every file of a run."""
    with pytest.raises(ConfigError, match=r'request\.base_url .*"\?"') as refused:
        normal_base_url(f"http://localhost:8000{rest}")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://bob:S3cret@host:8000",
        "https://S3cret@host/v1",
        "http://bob:a/S3cret@host",
        "http://bob:#S3cret@host",
        "bob:S3cret@host",
    ],
)
def test_a_base_url_with_a_password_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"request\.base_url holds a user") as caught:
        normal_base_url(url)

    assert "S3cret" not in str(caught.value)


def test_a_prompts_size_counts_texts_and_images() -> None:
    blocks = [
        {"type": "text", "text": "four"},
        {"type": "image", "source": {"data": "x" * 100_000}},
        {"type": "tool_result", "content": [{"type": "text", "text": "12"}]},
        {"type": ["odd"]},
        {"text": 5},
    ]
    prompt = Prompt(
        messages=[{"role": "user", "content": "abc"}, {"role": "user", "content": blocks}],
        system=[{"type": "text", "text": "12345"}],
    )

    assert input_chars(prompt) == 3 + 4 + IMAGE_CHARS + 2 + 5
    assert input_chars(prompt, "unused") == input_chars(prompt)
    assert input_chars(Prompt(messages=[{"role": "user"}]), "job") == 3


@pytest.mark.parametrize(
    ("body", "is_strict"),
    [
        (b' {"a": 1}\n', True),
        (b'{"a": ' + b"[" * 1022 + b"]" * 1022 + b"}", True),
        (b'{"a": ' + b"[" * 1023 + b"]" * 1023 + b"}", False),  # no room for the record around it
        (b'{"a": NaN}', False),
        (b'{"a": "\\ud83d"}', False),
        (b'{"a": "\t"}', False),
        (b'{"a": "\x01"}', False),
        (b'{"a": 1e999}', False),
        (b'\xef\xbb\xbf{"a": 1}', False),
        (b'{"a": "' + b"x" * 3000 + b'", "b": NaN}', False),
    ],
)
def test_a_body_is_given_with_its_value_only_where_any_parser_reads_it(
    body: bytes, is_strict: bool
) -> None:
    value, strict = read_body(body)

    assert isinstance(value, dict)
    assert strict is (body if is_strict else None)


@pytest.mark.parametrize("filler", [b"", b" " * 3000])
@pytest.mark.parametrize("body", [b"", b"1, 2", b"[1], [2]", b"{", b"[1"])
def test_what_is_not_one_value_is_none(body: bytes, filler: bytes) -> None:
    """Long bodies are read inside brackets, which would make a list of two values."""
    assert read_body(body + filler) == (None, None)
