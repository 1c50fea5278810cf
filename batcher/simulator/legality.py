"""What the vendors refuse, for `strict`: the sampling rule table, versions, prompt rules.

Source: versioning and migration pages of the vendor and reports of real requests, 2026-11:
version 2026-10-21 takes none of the three sampling settings; under 2023-06-01 models from 4.7
on take only default values, and 4.x models temperature or top_p but not both.
"""

import re
from collections.abc import Mapping
from typing import Any

_VERSIONS = ("2026-10-21", "2023-06-01")
_SAMPLING = ("temperature", "top_p", "top_k")
_DEFAULTS = {"temperature": 1.0, "top_p": 0.99}  # top_k has no default value to repeat
_MODEL = re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos)-(\d)(?:-(\d{1,2}))?(?:\D|$)")
_LEGACY_MODEL = re.compile(r"claude-(?:1|2|instant)\b")


def generation(model: str) -> tuple[int, int] | None:
    """`claude-haiku-4-5-20251001` -> (4, 5); None for a name that tells none."""
    found = _MODEL.match(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def messages_objection(
    body: Mapping[str, Any], headers: Mapping[str, str], model: str
) -> str | None:
    """Why the Messages API refuses a request that is otherwise well-formed; None when it is not."""
    version = headers.get("anthropic-version")
    if version not in _VERSIONS:
        return _about_version(version)
    given = [name for name in _SAMPLING if name in body]
    if given and version == _VERSIONS[0]:
        return f"{given[0]}: Extra inputs are not permitted"
    made = generation(model)
    if made and made >= (4, 7):
        for name in given:
            if body[name] != _DEFAULTS.get(name):
                return f"`{name}` may only be set to its default value for this model."
    if made and made < (4, 7) and "temperature" in given and "top_p" in given:
        return "`temperature` and `top_p` cannot both be specified for this model."
    if made and made >= (4, 6) and body["messages"][-1].get("role") == "assistant":
        return (
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    return _out_of_bounds(body, highest_temperature=1.0)


def complete_objection(
    body: Mapping[str, Any], headers: Mapping[str, str], model: str, prompt: str
) -> str | None:
    """Why the legacy API refuses a request; None when it does not."""
    version = headers.get("anthropic-version")
    if version not in _VERSIONS:
        return _about_version(version)
    if model.startswith("claude") and not _LEGACY_MODEL.match(model):
        return f'"{model}" is not supported on this API. Please use the Messages API instead.'
    human, assistant = prompt.find("\n\nHuman:"), prompt.find("\n\nAssistant:")
    if human < 0 or 0 <= assistant < human:
        return 'prompt must start with "\\n\\nHuman:" turn after an optional system prompt'
    if prompt.rfind("\n\nAssistant:") < prompt.rfind("\n\nHuman:"):
        return 'prompt must end with "\\n\\nAssistant:" turn'
    return _out_of_bounds(body, highest_temperature=1.0)


def chat_objection(body: Mapping[str, Any]) -> str | None:
    """Why chat completions refuse a request; None when they do not."""
    return _out_of_bounds(body, highest_temperature=2.0)


def _about_version(version: str | None) -> str:
    if version is None:
        return "anthropic-version: header is required"
    return f"anthropic-version: {version} is not a valid version"


def _out_of_bounds(body: Mapping[str, Any], *, highest_temperature: float) -> str | None:
    for name, highest in (("temperature", highest_temperature), ("top_p", 1.0)):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name}: Input should be a valid number"
        if not 0.0 <= value <= highest:
            return f"{name}: Input should be between 0 and {highest:g}"
    return None
