"""Who may come in: accepted keys, each with the quota scope it draws on."""

from collections.abc import Mapping

DEFAULT_SCOPE = "default"


class Keys:
    """Accepted keys, changeable while requests come in.

    Without any keys given every key is let in, and none too, all on one scope; then
    `revoke` still shuts a single one out.
    """

    def __init__(self, accepted: Mapping[str, str] | None = None) -> None:
        self._accepted = None if accepted is None else dict(accepted)
        self._revoked: set[str] = set()

    def scope_of(self, key: str) -> str | None:
        """The quota scope of a key; None when it is not accepted."""
        if key in self._revoked:
            return None
        return DEFAULT_SCOPE if self._accepted is None else self._accepted.get(key)

    def add(self, key: str, scope: str = DEFAULT_SCOPE) -> None:
        """Accept a key from now on; the first one added ends the time when any is."""
        self._revoked.discard(key)
        self._accepted = {**(self._accepted or {}), key: scope}

    def revoke(self, key: str) -> None:
        """Accept a key no longer."""
        self._revoked.add(key)
