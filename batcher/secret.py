"""Secrets and the choke point that keeps them out of everything written or shown.

A `Secret` prints as `***`. `Redactor` knows every secret of the run and masks it, and
anything shaped like a provider's key, in bytes on their way to a file, a log or the screen.
"""

import hashlib
import re

MASK = "***"
_MASK_BYTES = MASK.encode()

# Shapes of keys that are not ours but must not be written either (an error text may quote one).
# Sources: gitleaks and noseyparker rules for Anthropic, OpenAI and OpenRouter keys, 2026-11.
_KEY_SHAPE = re.compile(rb"\bsk-[A-Za-z0-9_-]{16,}|(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}")
_HINT = (b"sk-", b"earer ", b"EARER ")
_SHORTEST = 6  # a shorter "secret" (a dummy such as "x") would mask innocent text


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

    def learn(self, secret: Secret) -> None:
        """Mask this secret from now on; old values of a rotated key stay masked."""
        value = secret._value.encode()
        if len(value) >= _SHORTEST and value not in self._known:
            self._known = (*self._known, value)

    def clean(self, data: bytes) -> bytes:
        """The same bytes with every known secret replaced by `***`."""
        for value in self._known:
            if value in data:
                data = data.replace(value, _MASK_BYTES)
        return data

    def clean_text(self, text: str) -> str:
        """Text for a person or a log: known secrets and anything shaped like a key, masked."""
        data = self.clean(text.encode("utf-8", "surrogateescape"))
        if any(hint in data for hint in _HINT):
            data = _KEY_SHAPE.sub(_MASK_BYTES, data)
        return data.decode("utf-8", "replace")
