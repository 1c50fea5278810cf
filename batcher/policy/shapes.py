"""Which shapes of input row are understood, and what prompt each one makes.

`{"prompt"}`, `{"messages", "system"}`, Anthropic's batch shape `{"custom_id", "params"}` and
OpenAI's `{"custom_id", "method", "url", "body"}`. Rows for a template are read in template.py.
A request setting whose value is null counts as not given: tables exported as JSON are full
of nulls that mean "nothing here".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from batcher.errors import InvalidRow
from batcher.job import ROW_SETTINGS
from batcher.records import Prompt

ALIASES: Mapping[str, str] = {
    "stop_sequences": "stop",
    "max_tokens_to_sample": "max_tokens",
    "max_completion_tokens": "max_tokens",
}
"""Other providers' names of a row's settings -> ours."""

_OURS: Mapping[str, str] = {**{name: name for name in ROW_SETTINGS}, **ALIASES}
_SETTINGS = frozenset(_OURS)
_ASKED = frozenset({"prompt", "messages", "system"})
_CHAT_PATHS = ("/chat/completions", "/messages", "/complete")
_TEXT_FIELDS = ("text", "question", "input", "instruction", "query", "content")
_FIELDS_SHOWN = 8


def shaped_prompt(data: Any) -> Prompt:
    """The prompt of a row in one of the four shapes.

    Raises:
        InvalidRow: The row is none of them, or holds nothing to ask.
    """
    if type(data) is not dict:
        raise not_an_object(data)
    if "prompt" in data or "messages" in data:
        return _asked(data)
    if "params" in data:
        return _provider_shaped(data["params"], "params")
    if "body" in data:
        _check_openai_route(data)
        return _provider_shaped(data["body"], "body")
    likely = next((name for name in _TEXT_FIELDS if isinstance(data.get(name), str)), None)
    write = f"rename `{likely}` to `prompt`" if likely else "name the text `prompt`"
    raise InvalidRow(
        f"the row has neither `prompt` nor `messages`; {fields_of(data)}",
        hint=f"{write}, or give a template that makes the prompt from the row's fields "
        "(request.template, --template)",
    )


def not_an_object(data: object) -> InvalidRow:
    """The complaint about a line whose JSON is no object."""
    return InvalidRow(
        f"the line holds {kind_of(data)}, not an object",
        hint='write one object a line, e.g. {"prompt": "..."}',
    )


def fields_of(data: Mapping[str, Any], owner: str = "it") -> str:
    """`it has: a, b and 3 more`: an object's field names, short enough for a message."""
    if not data:
        return f"{owner} has no fields"
    names = [name if len(name) <= 40 else f"{name[:37]}..." for name in data]
    shown, rest = names[:_FIELDS_SHOWN], len(names) - _FIELDS_SHOWN
    return f"{owner} has: {', '.join(shown)}" + (f" and {rest} more" if rest > 0 else "")


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    names: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def said(text: object) -> bool:
    """Whether a message's content holds anything: some text that is not blank, or a block."""
    # isspace stops at the first letter; strip would copy a long prompt.
    return bool(text) and not (isinstance(text, str) and text.isspace())


def _asked(fields: Mapping[str, Any]) -> Prompt:
    """Prompt of an object with `prompt` or `messages`, beside `system` and settings."""
    messages: Sequence[Mapping[str, Any]]
    overrides = {} if _SETTINGS.isdisjoint(fields) else _overrides(fields)
    system = _system(fields["system"]) if "system" in fields else None
    if "prompt" not in fields:
        messages = _messages(fields["messages"])
    elif "messages" in fields:
        raise InvalidRow("the row has both `prompt` and `messages`", hint="keep one of them")
    else:
        text = fields["prompt"]
        if type(text) is not str or not said(text):
            raise _no_text(text)
        messages = [{"role": "user", "content": text}]
    return Prompt(messages=messages, system=system, overrides=overrides)


def _no_text(prompt: object) -> InvalidRow:
    if isinstance(prompt, str):
        return InvalidRow("`prompt` is empty", hint="put the text to ask there, or drop the row")
    return InvalidRow(
        f"`prompt` is {kind_of(prompt)}, not a text",
        hint="write the prompt as a text; chat turns and blocks go into `messages`",
    )


def _provider_shaped(fields: object, name: str) -> Prompt:
    """Prompt of a batch API's row: what batcher does not interpret goes along in `extra`."""
    if type(fields) is not dict:
        raise InvalidRow(
            f"`{name}` is {kind_of(fields)}, not an object",
            hint=f"`{name}` holds a request: model, max_tokens, messages",
        )
    if "prompt" not in fields and "messages" not in fields:
        raise InvalidRow(
            f"`{name}` has no `messages`; {fields_of(fields)}",
            hint='give it messages, e.g. [{"role": "user", "content": "..."}]',
        )
    extra = {k: v for k, v in fields.items() if k not in _SETTINGS and k not in _ASKED}
    return replace(_asked(fields), extra=extra)


def _check_openai_route(data: Mapping[str, Any]) -> None:
    """Refuse a row of OpenAI's batch shape that asks for something else than a chat answer."""
    method, url = data.get("method", "POST"), data.get("url", _CHAT_PATHS[0])
    if method != "POST":
        raise InvalidRow(f"`method` is {method!r}", hint='write "POST", or leave it out')
    if not isinstance(url, str) or not url.endswith(_CHAT_PATHS):
        raise InvalidRow(
            f"`url` is {url!r}, which is no chat request",
            hint='write "/v1/chat/completions"; embeddings and others are not supported',
        )


def _system(value: object) -> str | Sequence[Mapping[str, Any]] | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(block, dict) for block in value):
        return value
    raise InvalidRow(
        f"`system` is {kind_of(value)}, not a text", hint="write a text, or a list of text blocks"
    )


def _messages(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not value:
        what = "an empty list" if value == [] else kind_of(value)
        raise InvalidRow(
            f"`messages` is {what}, not a list of turns",
            hint='write e.g. [{"role": "user", "content": "..."}]',
        )
    for number, turn in enumerate(value, start=1):
        _check_turn(turn, number)
    if not any(said(turn.get("content")) for turn in value):
        raise InvalidRow("no turn of `messages` says anything", hint="fill its `content`")
    return value


def _check_turn(turn: object, number: int) -> None:
    """Refuse a turn without role and content; what the content holds is the provider's matter."""
    where = f"turn {number} of `messages`"
    if not isinstance(turn, dict):
        raise InvalidRow(
            f"{where} is {kind_of(turn)}, not an object",
            hint='write each turn as {"role": "user", "content": "..."}',
        )
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not role:
        raise InvalidRow(f"{where} has no `role`", hint='add "role": "user" or "assistant"')
    if isinstance(content, str) or (content is None and "tool_calls" in turn):
        return
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        what = "is missing" if content is None else f"is {kind_of(content)}"
        raise InvalidRow(
            f"the `content` of {where} {what}", hint="write a text, or a list of content blocks"
        )


class _Form(NamedTuple):
    types: tuple[type, ...]
    fix: str


_FORMS: Mapping[str, _Form] = {
    "model": _Form((str,), "the model's name as a text"),
    "max_tokens": _Form((int,), "a whole number of at least 1"),
    "temperature": _Form((int, float), "a number from 0 to 2"),
    "top_p": _Form((int, float), "a number above 0, at most 1"),
    "top_k": _Form((int,), "a whole number of at least 1"),
    "stop": _Form((str, list), "a text or a list of texts"),
    "stream": _Form((bool,), "true or false"),
}


def _overrides(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The row's own request settings under our names; ranges are checked by render.effective."""
    found: dict[str, Any] = {}
    for name in fields:
        ours = _OURS.get(name)
        if ours is None or (value := fields[name]) is None:
            continue
        form = _FORMS[ours]
        if type(value) is float and int in form.types and value.is_integer():
            value = int(value)
        if type(value) not in form.types or (
            type(value) is list and not all(type(text) is str for text in value)
        ):
            raise InvalidRow(f"`{name}` is {_shown(value)}", hint=f"write {form.fix}")
        if found.setdefault(ours, value) != value:
            raise InvalidRow(
                f"the row names {ours} twice, once as `{name}`", hint="keep one of them"
            )
    return found


def _shown(value: object) -> str:
    return f'"{value}", a text' if isinstance(value, str) and len(value) <= 40 else kind_of(value)
