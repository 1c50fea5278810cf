"""A prompt as chat turns: the system text, the turns after it, and what is wrong with them.

Also the older way to write a dialogue, one text of Human and Assistant parts, in both
directions. How turns look in JSON is each wire format's matter; their blocks are
converted in blocks.py.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from batcher.errors import InvalidRow
from batcher.records import Prompt

Turn = Mapping[str, Any]
System = str | Sequence[Mapping[str, Any]]

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"
_SYSTEM_ROLES = ("system", "developer")  # tuples: a row may write what cannot be hashed
_PART = re.compile(r"\n\n(Human|Assistant):")


class Conversation(NamedTuple):
    """A prompt, checked.

    Attributes:
        system: The system text or blocks of row and job together; None for none.
        turns: What follows it, at least one.
    """

    system: System | None
    turns: Sequence[Turn]


def conversation(
    prompt: Prompt, *, default_system: str | None, roles: tuple[str, ...]
) -> Conversation:
    """The checked turns of a prompt, system text apart.

    System turns at the head join the prompt's own system text, after it. A single user text
    that is a dialogue in the older way is taken apart into its turns.

    Args:
        prompt: As the row gave it.
        default_system: Used when the row brings none.
        roles: What turns after the head may be called in this wire format.

    Raises:
        InvalidRow: There is nothing to ask, a turn is empty, or a role is unknown.
    """
    system, turns = prompt.system or None, prompt.messages
    if system is None and len(turns) == 1 and _is_plain(turns[0]):
        return Conversation(default_system or None, turns)
    head = 0
    while head < len(turns) and turns[head].get("role") in _SYSTEM_ROLES:
        system = _joined(system, _system_content(turns[head]))
        head += 1
    if head:
        turns = turns[head:]
    if not turns:
        raise InvalidRow(
            "there is no turn to answer" if head else "there is no message",
            hint='give the row a "prompt", or "messages" with a user turn',
        )
    if len(turns) == 1 and is_dialogue(turns[0]):
        turns = turns_of_dialogue(turns[0]["content"])
    for place, turn in enumerate(turns, start=head):
        _check(turn, place, roles)
    return Conversation(default_system or None if system is None else system, turns)


def is_plain(prompt: Prompt) -> bool:
    """Whether a prompt is one user's text and nothing else, as most are."""
    turns = prompt.messages
    return (
        len(turns) == 1
        and _is_plain(turns[0])
        and len(turns[0]) == 2
        and not prompt.system
        and not prompt.extra
    )


def _is_plain(turn: Turn) -> bool:
    """Whether a turn is a user's text that needs neither checks nor translation."""
    content = turn.get("content")
    return (
        type(content) is str
        and content != ""
        and not content.isspace()  # stops at the first letter; strip would copy a long prompt
        and not content.startswith(HUMAN)
        and turn.get("role") == "user"
    )


def _check(turn: Turn, place: int, roles: tuple[str, ...]) -> None:
    role, content = turn.get("role"), turn.get("content")
    if role not in roles:
        known = ", ".join(roles)
        raise InvalidRow(
            f"messages[{place}] has the role {role!r}",
            hint=f"this wire format knows {known}",
        )
    if type(content) is str and content and not content.isspace():
        return
    if isinstance(content, list | tuple) and content:
        if all(isinstance(block, Mapping) for block in content):
            return
        raise InvalidRow(
            f"messages[{place}].content holds something that is no block",
            hint='write each block as an object, e.g. {"type": "text", "text": "..."}',
        )
    if role != "user" and ("tool_calls" in turn or "function_call" in turn or role == "tool"):
        return
    raise InvalidRow(f"messages[{place}] says nothing", hint="fill its content, or drop the turn")


def _system_content(turn: Turn) -> System | None:
    content = turn.get("content")
    if content is None or isinstance(content, str):
        return content or None
    if isinstance(content, list | tuple) and all(isinstance(block, Mapping) for block in content):
        return content
    raise InvalidRow(
        "the system turn's content is neither text nor blocks", hint="write it as a text"
    )


def _joined(first: System | None, second: System | None) -> System | None:
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_blocks(first), *_blocks(second)]


def _blocks(system: System) -> Sequence[Mapping[str, Any]]:
    return [{"type": "text", "text": system}] if isinstance(system, str) else system


def plain_text(content: object, where: str) -> str:
    """Text of a content that may be blocks, for wire formats that take text only.

    Raises:
        InvalidRow: A block holds something else.
    """
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for block in content if isinstance(content, list | tuple) else ():
        text = block.get("text") if block.get("type", "text") == "text" else None
        if not isinstance(text, str):
            raise InvalidRow(
                f"{where} holds a {block.get('type')} block; only text can be sent this way",
                hint="drop the block, or use a provider that takes it",
            )
        parts.append(text)
    return "\n\n".join(parts)


def is_dialogue(turn: Turn) -> bool:
    """Whether a turn is a user's text that is a whole dialogue in the older way."""
    content = turn.get("content")
    return (
        isinstance(content, str)
        and content.startswith(HUMAN)
        and ASSISTANT in content
        and turn.get("role") == "user"
    )


def turns_of_dialogue(text: str) -> Sequence[Turn]:
    """The turns of a dialogue written in the older way; parts that say nothing are dropped."""
    parts = _PART.split(text)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [
        {"role": roles[who], "content": said.strip()}
        for who, said in zip(parts[::2], parts[1::2], strict=True)
        if said and not said.isspace()
    ]
    if not turns:
        raise InvalidRow("the prompt has Human and Assistant parts without text", hint="fill them")
    return turns


def dialogue_of(turns: Sequence[Turn], system: str | None) -> str:
    """The turns as one text that ends where the assistant is to go on.

    A single text that already is such a dialogue is passed through as it stands.
    """
    head = system or ""
    if len(turns) == 1 and turns[0]["role"] == "user":
        text = plain_text(turns[0]["content"], "messages[0]")
        return f"{head}{text}" if text.startswith(HUMAN) else f"{head}{HUMAN} {text}{ASSISTANT}"
    parts = [head]
    for place, turn in enumerate(turns):
        mark = HUMAN if turn["role"] == "user" else ASSISTANT
        parts.append(f"{mark} {plain_text(turn['content'], f'messages[{place}]')}")
    if turns[-1]["role"] == "user":
        parts.append(ASSISTANT)
    return "".join(parts)
