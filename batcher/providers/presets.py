"""Settings for common kinds of text, filled in where the user says nothing and the model agrees.

Source of the numbers: the middle of what the user's guide recommends, 200 to 400 tokens for
dialogue and 500 to 1,000 for content, temperature 0.3 to 0.7, top_p 0.7 to 0.9.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from batcher.job import ProviderName, Request
from batcher.providers.anthropic.sampling import NEWEST_VERSION, Sampling, generation


class Preset(NamedTuple):
    """What one preset asks for."""

    max_tokens: int
    temperature: float
    top_p: float


PRESETS: Mapping[str, Preset] = {
    "chat": Preset(max_tokens=300, temperature=0.5, top_p=0.8),
    "content": Preset(max_tokens=800, temperature=0.7, top_p=0.9),
}
# OpenAI's reasoning models take their default temperature only (2025-08 and later reports).
_OPENAI_REASONING = ("o1", "o3", "o4", "gpt-5")


def apply_preset(request: Request) -> Request:
    """The request with its preset's settings where the user set none and the model takes them.

    Doing it twice changes nothing. A row that names another model wants it done anew, on the
    job's settings as they were written.

    Returns:
        The very same object when there is nothing to fill in.
    """
    if request.preset is None:
        return request
    preset, given = PRESETS[request.preset], request.model_fields_set
    filled: dict[str, Any] = {}
    if "max_tokens" not in given:
        filled["max_tokens"] = preset.max_tokens
    sampling = _taken(request)
    if sampling is Sampling.FREE:
        wanted = {"temperature": preset.temperature, "top_p": preset.top_p}
        filled.update((name, value) for name, value in wanted.items() if name not in given)
    elif sampling is Sampling.ONE_OF_TWO and given.isdisjoint({"temperature", "top_p"}):
        filled["temperature"] = preset.temperature
    return request.model_copy(update=filled) if filled else request


def _taken(request: Request) -> Sampling:
    """What the model does with sampling settings, as far as its name tells.

    Claude models keep their rule on other formats too: a preset is no reason to risk a refusal.
    """
    model, version = request.model, request.api_version
    speaks_anthropic = request.provider is not ProviderName.OPENAI
    if model.startswith("claude-"):
        if speaks_anthropic and version is not None and version >= NEWEST_VERSION:
            return Sampling.DEFAULT_ONLY
        rule = generation(model)
        return Sampling.DEFAULT_ONLY if rule is None else rule.sampling
    if model.startswith(_OPENAI_REASONING):
        return Sampling.DEFAULT_ONLY
    return Sampling.FREE
