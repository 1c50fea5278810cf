"""How a jinja2 template makes a prompt from a row's fields.

Fields are variables and `row` is the whole object; a field the row lacks is an error, never
an empty text. Rows are data from anywhere, so the template runs in jinja2's sandbox.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from jinja2 import (
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
    meta,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from batcher.errors import ConfigError, InvalidRow
from batcher.policy.shapes import fields_of, kind_of, not_an_object, said
from batcher.records import Prompt

# What evaluating an expression over odd data raises, beside jinja2's own errors.
_ROW_FAULTS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError)


def template_prompt(text: str) -> Callable[[Mapping[str, Any]], Prompt]:
    """A renderer that fills the template with each row's fields; the result is one user turn.

    Raises:
        ConfigError: The template itself has a mistake.
    """
    template = _compile(text)

    def render(data: Mapping[str, Any]) -> Prompt:
        if type(data) is not dict:
            raise not_an_object(data)
        try:
            prompt = template.render({**data, "row": data})
        except UndefinedError as error:
            raise InvalidRow(
                f"the template needs {error.message}; {fields_of(data, 'the row')}",
                hint="add the field to the row, or write {{ field | default('') }} where it may "
                "be missing",
            ) from error
        except _ROW_FAULTS as error:
            raise InvalidRow(
                f"the template failed on this row: {error}",
                hint="make the template cope with such a row, or correct the row's fields",
            ) from error
        if not said(prompt):
            raise InvalidRow(
                "the template made an empty prompt of this row",
                hint="correct the template, or drop the row",
            )
        return Prompt(messages=[{"role": "user", "content": prompt}])

    return render


def _compile(text: str) -> Any:
    environment = _Environment(
        undefined=_Missing,
        autoescape=False,  # a prompt is plain text
        keep_trailing_newline=True,
    )
    environment.filters["tojson"] = _tojson
    try:
        tree = environment.parse(text)
        template = environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise ConfigError(
            f"request.template: line {error.lineno} is not valid jinja2: {error.message}"
        ) from error
    except TemplateError as error:
        raise ConfigError(f"request.template: {error.message}") from error
    if any(True for _ in meta.find_referenced_templates(tree)):
        raise ConfigError(
            "request.template: include, import and extends are not supported; "
            "put everything into one file"
        )
    return template


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, in which `row.items` means the row's field and not the method of a dict."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class _Missing(StrictUndefined):
    """A missing field that says what is missing, and from where."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name, owner = self._undefined_name, self._undefined_obj
        if isinstance(owner, dict):
            return f"field `{name}` of an object ({fields_of(owner)})"
        if isinstance(owner, (list, str, int, float)) or owner is None:
            return f"`{name}` of {kind_of(owner)}"
        return f"field `{name}`"


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON as it is: jinja2's own filter escapes < > & for HTML, which garbles a prompt."""
    if isinstance(value, Undefined):
        return str(value)  # says which field is missing
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
