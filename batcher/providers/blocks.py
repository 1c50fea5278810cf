"""Content blocks between the two chat formats: texts and images; the rest is refused by name."""

from collections.abc import Mapping
from typing import Any

from batcher.errors import InvalidRow

# Tuples, not sets: a row may write anything for `type`, also what cannot be hashed.
_ONLY_ANTHROPIC = (
    "document",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "web_search_tool_result",
    "container_upload",
)
_ONLY_OPENAI = ("input_audio", "file", "refusal", "video_url", "audio_url")

Block = Mapping[str, Any]


def for_anthropic(content: object, where: str) -> object:
    """Blocks as the Messages API takes them; the same object when there is nothing to change.

    Raises:
        InvalidRow: A block has no counterpart there.
    """
    if not isinstance(content, list | tuple):
        return content
    found_image = False
    for block in content:
        kind = block.get("type")
        if kind in _ONLY_OPENAI:
            raise _foreign(kind, where, "openai")
        found_image = found_image or kind == "image_url"
    if not found_image:
        return content
    return [
        _image_for_anthropic(each, where) if each.get("type") == "image_url" else each
        for each in content
    ]


def for_openai(content: object, where: str) -> object:
    """Blocks as chat completions take them; the same object when there is nothing to change.

    Raises:
        InvalidRow: A block has no counterpart there.
    """
    if not isinstance(content, list | tuple):
        return content
    found_image = False
    for block in content:
        kind = block.get("type")
        if kind in _ONLY_ANTHROPIC:
            raise _foreign(kind, where, "anthropic")
        found_image = found_image or kind == "image"
    if not found_image:
        return content
    return [
        _image_for_openai(each, where) if each.get("type") == "image" else each for each in content
    ]


def _image_for_anthropic(block: Block, where: str) -> Block:
    link = block.get("image_url")
    url = link.get("url") if isinstance(link, Mapping) else link
    if not isinstance(url, str) or not url:
        raise InvalidRow(
            f"{where} has an image_url block without a url",
            hint='write {"type": "image_url", "image_url": {"url": "..."}}',
        )
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, marked, data = url[5:].partition(";base64,")
    if not marked or not media_type:
        raise InvalidRow(
            f"{where} has an image whose data URL is not base64",
            hint='write "data:image/png;base64,..."',
        )
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _image_for_openai(block: Block, where: str) -> Block:
    source = block.get("source")
    source = source if isinstance(source, Mapping) else {}
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        url = source["url"]
    elif source.get("type") == "base64" and isinstance(source.get("data"), str):
        url = f"data:{source.get('media_type', 'image/png')};base64,{source['data']}"
    else:
        raise InvalidRow(
            f"{where} has an image that is neither base64 nor a URL",
            hint="give the image itself (base64), or a URL",
        )
    return {"type": "image_url", "image_url": {"url": url}}


def _foreign(kind: object, where: str, home: str) -> InvalidRow:
    return InvalidRow(
        f"{where} has a {kind} block, which this wire format does not know",
        hint=f'ask a server of request.provider "{home}", or drop the block',
    )
