"""Other runs on this machine that use the same keys: each takes an equal share of their quotas.

Refusals alone tell little about who else sends, and late. Runs of one user can simply say
so: once a second each says what it sends and moves towards the mean of what all of them do.
"""

import asyncio
from collections.abc import Callable, Mapping

from batcher import clock
from batcher.events import Event
from batcher.policy.keyring import Keyring
from batcher.ports import NoticeBoard
from batcher.secret import Secret

_EVERY_S = 1.0


class Neighbours:
    """Keeps the shares of this run and its neighbours even.

    Args:
        board: Where runs tell each other their rates.
        keyring: The keys with their rate controllers.
        values: Alias to the value a key has now.
        about: What else tells quotas apart: the server and the model.
    """

    def __init__(
        self,
        board: NoticeBoard,
        *,
        keyring: Keyring,
        values: Mapping[str, Secret],
        about: str,
        emit: Callable[[Event], None],
    ) -> None:
        self._board = board
        self._keyring = keyring
        self._values = values
        self._about = about
        self._emit = emit

    async def keep(self) -> None:
        """Look at what the others send once a second, until cancelled."""
        try:
            while True:
                self._look(clock.now())
                await asyncio.sleep(_EVERY_S)
        finally:
            self._board.close()

    def _look(self, now: float) -> None:
        for aliases, controller in self._keyring.scopes():
            known = (self._values[alias] for alias in aliases if alias in self._values)
            quotas = sorted({secret.digest(self._about) for secret in known})
            others = self._board.exchange(quotas, controller.pace(now=now))
            for event in controller.share(others, now=now):
                self._emit(event)
