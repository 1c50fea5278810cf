"""Made-up jobs: sizes of prompts and answers, and how long each answer takes."""

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

CHARS_PER_TOKEN = 4


class Lognormal(NamedTuple):
    """Whole numbers around a median, at most `highest`."""

    median: float
    sigma: float
    highest: int

    def draw(self, rng: random.Random) -> int:
        """One number."""
        drawn = rng.lognormvariate(math.log(self.median), self.sigma)
        return max(1, min(self.highest, int(drawn)))


class Job(NamedTuple):
    """How the rows of a job are distributed.

    Attributes:
        latency: Median seconds and sigma of an answer's time; None for 0.5 s and 60 tokens/s.
    """

    inputs: Lognormal
    outputs: Lognormal
    max_tokens: int
    latency: tuple[float, float] | None = None


JOBS = {
    "small": Job(Lognormal(150, 0.4, 1000), Lognormal(60, 0.5, 256), 256),
    "itpm": Job(Lognormal(900, 1.0, 20000), Lognormal(30, 0.5, 256), 256),
    "heavy": Job(Lognormal(700, 1.2, 30000), Lognormal(250, 1.2, 4096), 4096),
    "bal": Job(Lognormal(380, 0.6, 4000), Lognormal(75, 0.6, 512), 512),
    "lognormal": Job(Lognormal(450, 0.7, 2400), Lognormal(60, 0.5, 256), 256),
    "wide": Job(Lognormal(275, 0.8, 4000), Lognormal(60, 0.5, 256), 256),
    "huge": Job(Lognormal(600, 1.3, 60000), Lognormal(30, 0.5, 256), 256),
}


@dataclass(slots=True)
class Row:
    """One row of a job and what became of it.

    Attributes:
        seq: Position in the input; earlier rows go first.
        estimate: Input tokens as a client would guess them from the characters.
        latency_s: How long an answer takes once the server works on it.
    """

    seq: int
    inputs: int
    output: int
    max_tokens: int
    estimate: float
    latency_s: float
    first_sent: float = -1.0
    admitted: float = -1.0
    done: float = -1.0
    attempts: int = 0
    refusals: int = 0
    overloads: int = 0

    @property
    def chars(self) -> int:
        """Characters of its prompt."""
        return max(1, round(self.estimate * CHARS_PER_TOKEN))


def rows(kind: str, count: int, seed: int, latency: tuple[float, float] | None = None) -> list[Row]:
    """The rows of a job; the same arguments give the same rows.

    Args:
        kind: A name in JOBS.
        count: How many.
        seed: Of the random numbers.
        latency: Median seconds and sigma of an answer's time, instead of the job's own.
    """
    rng = random.Random(seed)
    job = JOBS[kind]
    made = []
    for seq in range(count):
        inputs, output = job.inputs.draw(rng), job.outputs.draw(rng)
        if latency is None:
            seconds = (0.5 + output / 60.0) * rng.lognormvariate(0, 0.25)
        else:
            seconds = latency[0] * rng.lognormvariate(0, latency[1])
        guess = inputs * rng.lognormvariate(0, 0.15)
        made.append(Row(seq, inputs, output, job.max_tokens, guess, seconds))
    return made
