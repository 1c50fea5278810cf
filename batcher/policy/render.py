"""What a row asks: its id, its prompt, and the settings it is asked under.

The shapes of a row are read in shapes.py, templates in template.py; how a prompt looks on
the wire is each provider's matter.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.policy.shapes import kind_of, not_an_object, shaped_prompt
from batcher.records import Prompt, Row, RowId


def make_renderer(template_text: str | None = None) -> Callable[[Mapping[str, Any]], Prompt]:
    """A ports.Renderer: rows fill the template, or bring their prompt in a known shape.

    Args:
        template_text: The jinja2 template itself, not its path; None for rows that need none.

    Raises:
        ConfigError: The template itself has a mistake.
    """
    if template_text is None:
        return shaped_prompt
    from batcher.policy.template import template_prompt  # jinja2 takes 20 ms to load

    return template_prompt(template_text)


def row_id(data: Any, line: int, id_field: str | None = None) -> RowId:
    """The row's name: the first of id_field, `custom_id` and `id` it has, else its line number.

    Numbers become text. Names need not be unique; a row's identity is its line.

    Raises:
        InvalidRow: The field is there but names nothing (null, empty, an object, a list).
    """
    if type(data) is not dict:
        raise not_an_object(data)
    if id_field is not None and id_field in data:
        name = id_field
    elif "custom_id" in data:
        name = "custom_id"
    elif "id" in data:
        name = "id"
    else:
        return RowId(str(line))
    value = data[name]
    if type(value) is str and value and not value.isspace():
        return RowId(value)
    if type(value) is int or type(value) is float:
        return RowId(str(value))
    what = "empty" if isinstance(value, str) else kind_of(value)
    raise InvalidRow(
        f"`{name}` is {what} and cannot name the row",
        hint="give it a text or a number, or leave the field out: the line number names the row",
    )


def row_name(row: Row, id_field: str | None = None) -> RowId:
    """The id in a row's record, also of a row that cannot be asked: its line number then."""
    if row.problem is None:
        with suppress(InvalidRow):
            return row_id(row.data, row.line, id_field)
    return RowId(str(row.line))


def effective(request: Request, prompt: Prompt) -> Request:
    """The settings a row is asked under: the job's, with the row's own in their place.

    Returns:
        The very same object when the row brings no settings.

    Raises:
        InvalidRow: A setting of the row is out of its range.
    """
    overrides = prompt.overrides
    if not overrides:
        return request
    try:
        checked = Request.model_validate(overrides)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidRow(
            f"`{first['loc'][0]}` is {first['input']!r}",
            hint=f"correct it: {first['msg'][0].lower()}{first['msg'][1:]}",
        ) from error
    # Only the row's own fields are replaced, so that fields never set still count as not set.
    return request.model_copy(update={name: getattr(checked, name) for name in overrides})
