"""What the simulated model says: a text that names its prompt, and draws that repeat.

The text stays short whatever its billed length, so that a rehearsal of a million rows does
not move gigabytes; the billed length is drawn, lognormal, from the prompt.
"""

import math
from hashlib import blake2b
from statistics import NormalDist

_MASK = (1 << 64) - 1
_UNIT = NormalDist().inv_cdf
_WORDS = 6
_WORDS_CHARS = 60


def prompt_hash(prompt: str) -> str:
    """16 hex digits that name a prompt; the same in every process and release."""
    return blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def answer_text(prompt: str, digest: str) -> str:
    """The answer to a prompt whose hash is known already."""
    words = " ".join(prompt[:200].split(None, _WORDS)[:_WORDS])[:_WORDS_CHARS]
    return f"Answer {digest} to: {words}"


def expected_answer(prompt: str) -> str:
    """The text the simulator answers a prompt with, so that a row and its answer can be matched.

    Args:
        prompt: Text of the last user turn (`/v1/complete`: of the last Human turn, stripped).
    """
    return answer_text(prompt, prompt_hash(prompt))


def draw(digest: str, seed: int, salt: int) -> float:
    """A number in (0, 1) that depends on prompt, seed and salt only, evenly spread.

    Source: splitmix64 (Steele, Lea, Flood 2014), its finaliser over hash, seed and salt.
    """
    x = (int(digest, 16) + (seed * 8 + salt + 1) * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((x ^ (x >> 31)) + 0.5) / (_MASK + 2)


def lognormal(median: float, sigma: float, u: float) -> float:
    """The value at probability u of a lognormal spread; the median itself when sigma is 0."""
    return median * math.exp(sigma * _UNIT(u)) if sigma else median
