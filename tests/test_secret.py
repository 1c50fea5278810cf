"""What the redactor masks, in which spellings, and what it leaves as it came."""

import orjson
import pytest

from batcher.secret import Redactor, Secret

KEY = "sk-" + "ant-api03-canary-canary-canary"
GATEWAY_KEY = "canary+key/0123456789/abcdef=="
SOMEBODYS = "sk-" + "proj-" + "z9" * 12


def knowing(*keys: str) -> Redactor:
    redactor = Redactor()
    for key in keys:
        redactor.learn(Secret(key))
    return redactor


def escaped(key: str) -> str:
    """As a cautious JSON writer spells it."""
    return "".join(c if c.isalnum() else f"\\u{ord(c):04X}" for c in key)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_key_kept_in_quotes_is_masked_without_them_too(quote: str) -> None:
    redactor = knowing(f"{quote}canary-of-a-gateway{quote}")

    assert redactor.clean(b"bad key canary-of-a-gateway!") == b"bad key ***!"
    assert redactor.clean(b'{"k":"\\"canary-of-a-gateway\\""}').count(b"canary") == 0


@pytest.mark.parametrize(
    ("key", "spelt"),
    [
        (KEY, escaped(KEY)),
        (KEY, escaped(KEY).replace("\\", "\\\\")),
        (KEY, escaped(KEY).lower()),
        (GATEWAY_KEY, escaped(GATEWAY_KEY)),
        (GATEWAY_KEY, GATEWAY_KEY.replace("/", "\\/")),
        (GATEWAY_KEY, GATEWAY_KEY.replace("/", "\\\\\\/")),
    ],
)
def test_a_key_is_masked_however_json_spells_it_and_nothing_else_is(key: str, spelt: str) -> None:
    rest = rb'"\u003c\/b\u003e \\u002d \" \n"'
    body = b'{"a":%b,"b":"it is %b."}' % (rest, spelt.encode())

    cleaned = knowing(key).clean_body(body)

    assert cleaned == b'{"a":%b,"b":"it is ***."}' % rest
    assert orjson.loads(cleaned)["b"] == "it is ***."


def test_a_body_without_a_key_is_the_same_object() -> None:
    body = rb'{"text":"\u003cb\u003e and a\/path, and sk-learn"}'

    assert knowing(KEY, GATEWAY_KEY).clean_body(body) is body


def test_a_key_in_an_address_is_masked() -> None:
    address = "http://other/?k=canary%2Bkey%2F0123456789%2Fabcdef%3D%3D"

    assert knowing(GATEWAY_KEY).clean_text(address) == "http://other/?k=***"


@pytest.mark.parametrize(
    "text",
    [
        f"bad key {SOMEBODYS}.",
        rf"{{\"m\":\"bad key:\n{SOMEBODYS}\"}}",
        f'{{"m":"bad key {SOMEBODYS.replace("-", chr(92) + "u002d")}"}}',
        f"Authorization: Bearer {SOMEBODYS}",
    ],
)
def test_somebody_elses_key_is_masked_in_what_is_no_answer(text: str) -> None:
    shown = Redactor().clean_text(text)

    assert "z9z9" not in shown
    assert "***" in shown


def test_an_answer_keeps_what_only_looks_like_a_key() -> None:
    body = f'{{"text":"such as {SOMEBODYS}"}}'.encode()

    assert knowing(KEY).clean_body(body) is body


def test_words_that_end_like_a_key_begins_are_left_alone() -> None:
    text = "the desk-lamps-of-nineteen-hundred and a task-force-of-seventeen-people"

    assert Redactor().clean_text(text) == text


def test_half_a_character_in_a_text_is_no_harm() -> None:
    assert "***" in knowing(KEY).clean_text(f"\ud83d {KEY}")


@pytest.mark.parametrize("word", ["ollama", "not-needed", "Dummy-Key", "lm-studio"])
def test_a_word_that_stands_in_for_a_key_is_no_secret(word: str) -> None:
    text = f'{{"id": "{word}-0", "text": "ask {word}"}}'.encode()

    assert knowing(word).clean_body(text) == text
