"""What an unknown limit counts: requests, input tokens or output tokens.

Guessed from the job's sizes against the quotas vendors publish, then learnt: a token limit
refuses long prompts more often.
"""

import math
from collections.abc import Sequence

from batcher.policy.ticket import INPUT, OUTPUT, REQUESTS

_PRIOR = (1.0, 500.0, 100.0)  # tokens a request is meant to have by published tiers
_PRIOR_WEIGHT = 1.5
_FADING = 0.9  # of the evidence stays at each refusal
_SURE = 1.0  # evidence it takes to change the unit ...
_SURER = 2.0  # ... from tokens
_PROVEN = 6.0  # ... or from one that has explained everything so far
_CHOICE = (REQUESTS, INPUT, OUTPUT)


class Unit:
    """Weighs the evidence for each unit.

    Attributes:
        is_pinned: The unit is known and no longer a matter of evidence.
        is_proven: Replays with it have explained several refusals.
    """

    __slots__ = ("_long", "is_pinned", "is_proven")

    def __init__(self) -> None:
        self._long = 0.0  # evidence that long prompts are refused: for input, against requests
        self.is_pinned = False
        self.is_proven = False

    def refused(self, size: float) -> None:
        """An attempt of this input was refused, in mean ones."""
        said = max(-1.0, min(1.0, math.log(max(1e-9, size))))
        self._long = _FADING * self._long + said

    def likeliest(
        self, present: int, mean: Sequence[float], *, is_first: bool, is_answered: bool
    ) -> int:
        """The unit to believe in.

        Args:
            present: The one believed in until now.
            mean: Mean amounts of an attempt.
            is_first: Nothing speaks for the present one yet.
            is_answered: There were answers; before, nobody knows how long they are.
        """
        if self.is_pinned:
            return present
        scores = [
            _PRIOR_WEIGHT * math.log(max(1e-9, mean[unit]) / _PRIOR[unit]) for unit in _CHOICE
        ]
        scores[INPUT] += self._long
        choice = _CHOICE if is_answered else _CHOICE[:OUTPUT]
        best = max(choice, key=scores.__getitem__)
        if best == present or is_first:
            return best
        sure = _SURE if present == REQUESTS else _SURER
        if self.is_proven:
            sure = _PROVEN
        return best if scores[best] >= scores[present] + sure else present
