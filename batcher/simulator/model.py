"""The simulated model: what it answers, how long the answer is, how long it takes."""

from collections.abc import Sequence

from batcher.job import Simulator as Settings
from batcher.simulator.answers import answer_text, draw, lognormal
from batcher.simulator.exchange import Answer, Ask, Plan, Stop
from batcher.simulator.faults import FaultKind

_LATENCY_SALT, _LENGTH_SALT = 2, 3
_FIRST_BYTE = 0.3  # share of a stream's time until its first event


class Model:
    """Answers by prompt and seed alone, so that a second run hears the same."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def answer(
        self,
        ask: Ask,
        digest: str,
        *,
        number: int,
        fault: FaultKind | None = None,
        text: str | None = None,
    ) -> Answer:
        """What it says to a question whose prompt has this hash, or this text instead.

        A fault of faults.OUTCOMES changes the answer; others do not matter here.
        """
        text = answer_text(ask.prompt, digest) if text is None else text
        text, stop, output_tokens = _ended(ask, fault, text, self._length(ask, digest))
        return Answer(
            number=number,
            model=ask.model,
            text=text,
            stop=stop,
            input_tokens=ask.input_tokens,
            output_tokens=output_tokens,
            usage_in_stream=ask.usage_in_stream,
        )

    def latency_s(self, digest: str) -> float | None:
        """Seconds of work for a prompt; None when it is answered at once, outside the queue."""
        settings = self._settings
        if not settings.latency_ms:
            return None if settings.slots is None else 0.0
        u = self._draw(digest, _LATENCY_SALT, settings.latency_sigma)
        return lognormal(settings.latency_ms, settings.latency_sigma, u) / 1000

    def _length(self, ask: Ask, digest: str) -> int:
        settings = self._settings
        u = self._draw(digest, _LENGTH_SALT, settings.output_sigma)
        length = round(lognormal(settings.output_tokens, settings.output_sigma, u))
        return min(ask.max_tokens, max(1, length))

    def _draw(self, digest: str, salt: int, sigma: float) -> float:
        return draw(digest, self._settings.seed, salt) if sigma else 0.5


def _ended(
    ask: Ask, fault: FaultKind | None, text: str, output_tokens: int
) -> tuple[str, Stop, int]:
    if fault is None and ask.max_tokens:
        return text, Stop.END, output_tokens
    match fault:
        case FaultKind.TRUNCATED:
            return text[: len(text) // 2], Stop.LENGTH, ask.max_tokens
        case FaultKind.REFUSED:
            return "", Stop.REFUSED, 0
        case FaultKind.PAUSED:
            return text[: len(text) // 2], Stop.PAUSED, output_tokens
        case FaultKind.EMPTY_TEXT:
            return "", Stop.END, 1
        case _ if ask.max_tokens == 0:  # a request that only warms the cache
            return "", Stop.LENGTH, 0
        case _:
            return text, Stop.END, output_tokens


def paced(plan: Plan, latency_s: float | None) -> Plan:
    """Spread a stream's pieces over its time; a single piece comes at the end of it."""
    plan.latency_s = latency_s
    pieces: Sequence[bytes] = plan.pieces
    if len(pieces) > 1:
        if latency_s:
            plan.latency_s = latency_s * _FIRST_BYTE
            plan.gap_s = latency_s * (1 - _FIRST_BYTE) / (len(pieces) - 1)
        else:
            plan.pieces = (b"".join(pieces),)
    return plan
