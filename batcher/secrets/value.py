"""What can be a key: one word of printable ASCII, since it travels in an HTTP header.

Caught where it is read, with the place named; in a header it would look like a broken server.
"""

from batcher.errors import ConfigError
from batcher.secret import Secret


def as_key(text: str, *, where: str, fix: str) -> Secret:
    """The key a source holds, without blanks and line ends around it.

    Args:
        text: What the source holds.
        where: The source, for the message; the value itself is never in it.
        fix: What to do when it holds nothing.

    Raises:
        ConfigError: It is empty, or no key.
    """
    value = text.strip()
    if not value:
        raise ConfigError(f"{where} is empty; {fix}")
    if len(value.split()) > 1:
        raise ConfigError(f"{where} holds more than one word; it must hold the API key alone")
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(f"{where} holds characters no API key has; it must hold the key alone")
    return Secret(value)
