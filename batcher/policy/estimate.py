"""How many tokens a call will probably use, learnt from the calls answered so far.

Characters are all that is known of a prompt before it is sent; the ratio of tokens to
characters belongs to the job's language and model and settles within a few answers.
"""

from batcher.policy.ticket import Amounts, Ticket
from batcher.records import Need, Usage

_FIRST_TOKENS_PER_CHAR = 0.27  # English prose on current tokenizers: 3.5 to 4 characters a token
_FIRST_OUTPUT_SHARE = 0.25  # of max_tokens, until the first answer
_SLOWEST_GAIN = 0.02  # both averages follow a drifting job within some 50 answers


class Estimate:
    """Turns a Need into amounts and keeps the averages that make it good.

    Attributes:
        output: Mean output tokens of an answer; 0.0 until one was seen.
        reserves: The server sets max_tokens aside, and so do we.
        mean: Mean amounts of an attempt, output as really used.
    """

    __slots__ = (
        "_answers",
        "_attempts",
        "_chars",
        "_length",
        "_tokens",
        "mean",
        "output",
        "reserves",
    )

    def __init__(self) -> None:
        self._answers = 0
        self._attempts = 0
        self._length = 0.0  # of a prompt, mean characters
        self._chars = 1.0
        self._tokens = _FIRST_TOKENS_PER_CHAR
        self.output = 0.0
        self.reserves = True
        self.mean = [1.0, 0.0, 0.0, 0.0]

    def cost(self, need: Need) -> Amounts:
        """What to set aside: one request, estimated input, and output.

        That is all the output it may take, or what answers take on average where the server
        charges only what is generated.
        """
        inputs = need.input_chars * self._tokens / self._chars
        output = float(need.max_tokens)
        if not self.reserves:
            output = min(output, self.output)  # errors of many in flight cancel out
        return (1.0, inputs, output, inputs + output)

    def sent(self, need: Need) -> None:
        """Note an attempt, so that `mean` follows the job."""
        self._attempts += 1
        gain = max(_SLOWEST_GAIN, 1.0 / self._attempts)
        self._length += gain * (need.input_chars - self._length)
        inputs = self._length * self._tokens / self._chars
        mean = self.mean
        mean[1] = inputs
        if not self._answers and not mean[2]:
            mean[2] = need.max_tokens * _FIRST_OUTPUT_SHARE
        mean[3] = inputs + mean[2]

    def answered(self, ticket: Ticket, usage: Usage) -> Amounts:
        """Learn from an answer; returns what the attempt really took from each quota.

        Cache reads count towards no input quota (documented by Anthropic, 2026-08) but
        towards a quota of all tokens (OpenAI's way of counting).
        """
        inputs = float(usage.input_tokens + usage.cache_write_tokens)
        output = float(usage.output_tokens)
        self._answers += 1
        gain = max(_SLOWEST_GAIN, 1.0 / self._answers)
        if ticket.chars:
            # A ratio of averages: long prompts weigh more, as they do in the quota.
            self._chars += gain * (ticket.chars - self._chars)
            self._tokens += gain * (inputs - self._tokens)
        self.output += gain * (output - self.output)
        self.mean[2] = self.output
        return (1.0, inputs, output, inputs + output + usage.cache_read_tokens)
