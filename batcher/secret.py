"""Secrets and the choke point that keeps them out of everything written or shown.

A `Secret` prints as `***`. `Redactor` knows every secret of the run and masks it, and
anything shaped like a provider's key, in bytes on their way to a file, a log or the screen.
"""

import hashlib
import re
from collections.abc import Iterator
from urllib.parse import quote

MASK = "***"
_MASK_BYTES = MASK.encode()

# Shapes of keys that are not ours but must not be written either (an error text may quote one),
# as text and as JSON, where a character may stand as \u002d and a line break as the letter n.
# Sources: gitleaks and noseyparker rules for Anthropic, OpenAI and OpenRouter keys, 2026-11.
_KEY_SHAPE = re.compile(
    rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf]))sk(?:-|\\+u002[dD])"
    rb"(?:[A-Za-z0-9_-]|\\+u00[2-7][0-9a-fA-F]){16,}"
    rb"|(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}"
)
_HINT = (b"sk-", b"sk\\", b"earer ", b"EARER ")
_SHORTEST = 6  # a shorter "secret" (a dummy such as "x") would mask innocent text
# What people write where a server wants any key at all: words that rows and answers may hold.
_STAND_INS = frozenset(
    b"""anything api-key apikey changeme default dummy-key example localai lm-studio missing
    no-key no-key-required nokey none-needed not-needed not-required notneeded ollama openai
    anthropic password placeholder secret sk-no-key-required test-key testing unused vllm-key
    your-api-key your_api_key llamacpp llama.cpp tabbyapi koboldcpp
    """.split()
)

_BACKSLASH = 92  # a number is found thirty times as fast as two bytes
_ESCAPED = re.compile(rb"\\+(?:u00([2-7][0-9a-fA-F])|/)")


class Secret:
    """A key. Its repr and str are `***`; `reveal` is called in transport/http.py only."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the one place that puts it into a header."""
        return self._value

    def digest(self, about: str) -> str:
        """A name for what this key gives access to, from which it cannot be found out."""
        return hashlib.blake2b(
            f"{self._value}\n{about}".encode(), digest_size=12, person=b"batcher.quota"
        ).hexdigest()

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret does not travel between processes")


class Redactor:
    """Masks every secret it was told of, and everything shaped like a key."""

    def __init__(self) -> None:
        self._known: tuple[bytes, ...] = ()
        self._has_slash = False

    def learn(self, secret: Secret) -> None:
        """Mask this secret from now on; old values of a rotated key stay masked.

        Also without the quotes a file of variables puts around it, and as it stands in JSON
        and in an address: servers quote keys so.
        """
        for form in _forms(secret._value):
            value = form.encode()
            is_one = len(value) >= _SHORTEST and value.lower() not in _STAND_INS
            if is_one and value not in self._known:
                self._known = (*self._known, value)
                self._has_slash = self._has_slash or b"/" in value

    def clean(self, data: bytes) -> bytes:
        """The same bytes with every known secret replaced by `***`."""
        for value in self._known:
            if value in data:
                data = data.replace(value, _MASK_BYTES)
        return data

    def clean_body(self, data: bytes) -> bytes:
        """What a server sent, with every known secret masked however its JSON spells it.

        The rest stays as it came, byte for byte: it may be a model's answer.
        """
        data = self.clean(data)
        if _BACKSLASH in data and (b"\\u00" in data or (self._has_slash and b"\\/" in data)):
            plain = _ESCAPED.sub(_unescaped, data)
            for value in self._known:
                if value in plain:
                    data = _any_spelling(value).sub(_MASK_BYTES, data)
        return data

    def clean_all(self, data: bytes) -> bytes:
        """Bytes without known secrets and without anything shaped like a key; no answers."""
        data = self.clean_body(data)
        if any(hint in data for hint in _HINT):
            data = _KEY_SHAPE.sub(_MASK_BYTES, data)
        return data

    def clean_text(self, text: str) -> str:
        """Text for a person or a log: known secrets and anything shaped like a key, masked."""
        return self.clean_all(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")

    def clean_known(self, text: str | None) -> str | None:
        """`clean_text` of what a server may have left out."""
        return None if text is None else self.clean_text(text)


def _forms(value: str) -> Iterator[str]:
    """How a key may be quoted back: as it is, out of its quotes, in JSON, in an address."""
    for form in dict.fromkeys((value, value.strip("\"'"))):
        yield form
        yield form.replace("\\", "\\\\").replace('"', '\\"')
        yield quote(form, safe="")


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else b"/"


def _any_spelling(value: bytes) -> re.Pattern[bytes]:
    """A key in JSON, or JSON within JSON: each character plain or escaped."""
    return re.compile(
        b"".join(
            rb"(?:%b%b|\\+u00(?i:%02x))" % (rb"\\*" if char in b"/" else b"", _literal(char), char)
            for char in value
        )
    )


def _literal(char: int) -> bytes:
    return re.escape(bytes((char,)))
