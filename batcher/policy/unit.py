"""What an unknown limit counts: requests, input tokens or output tokens.

Guessed from the job's sizes against the quotas vendors publish, then learnt: a token limit
refuses long prompts more often, and its own unit's rate varies least between refusals.
"""

import math
from collections.abc import Sequence

from batcher.policy.ticket import INPUT, OUTPUT, REQUESTS

_PRIOR = (1.0, 500.0, 100.0)  # tokens a request is meant to have by published tiers
_PRIOR_WEIGHT = 1.5
_TELLING = 0.1  # a difference this great is worth one unit of evidence
_TELLING_REQUESTS = 40.0  # sizes average out over so many
_ENOUGH = 8.0  # fewer requests tell nothing
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

    __slots__ = ("_evidence", "_rates", "is_pinned", "is_proven")

    def __init__(self) -> None:
        self._evidence = [0.0, 0.0, 0.0]  # in favour of a unit, against requests
        self._rates: list[float] | None = None  # between the last two refusals, in every unit
        self.is_pinned = False
        self.is_proven = False

    def refused(self, size: float) -> None:
        """An attempt of this input was refused, in mean ones."""
        said = max(-1.0, min(1.0, math.log(max(1e-9, size))))
        self._evidence[INPUT] = _FADING * self._evidence[INPUT] + said

    def passed(self, amounts: Sequence[float], lasted_s: float) -> None:
        """So much went through between two refusals: whose rate has varied least?"""
        if amounts[REQUESTS] < _ENOUGH:
            return
        rates = [amount / lasted_s for amount in amounts]
        before, self._rates = self._rates, rates
        if before is None:
            return
        off = [abs(math.log(a / b)) for a, b in zip(rates, before, strict=True)]
        for unit in (INPUT, OUTPUT):
            said = max(-1.0, min(1.0, (off[REQUESTS] - off[unit]) / _TELLING))
            said *= min(1.0, amounts[REQUESTS] / _TELLING_REQUESTS)
            self._evidence[unit] = _FADING * self._evidence[unit] + said

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
            _PRIOR_WEIGHT * math.log(max(1e-9, mean[unit]) / _PRIOR[unit]) + self._evidence[unit]
            for unit in _CHOICE
        ]
        choice = _CHOICE if is_answered else _CHOICE[:OUTPUT]
        best = max(choice, key=scores.__getitem__)
        if best == present or is_first:
            return best
        sure = _SURE if present == REQUESTS else _SURER
        if self.is_proven:
            sure = _PROVEN
        return best if scores[best] >= scores[present] + sure else present
