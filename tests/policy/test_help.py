"""Every failure comes with a fix that names settings which exist."""

import re

import pytest

from batcher.job import Job
from batcher.policy.help import hint
from batcher.records import Failure, FailureKind, Reply, Usage

MESSAGES = [
    "",
    "temperature: Extra inputs are not permitted",
    "prompt is too long: 210000 tokens",
    "max_tokens: 300000 > 128000",
    "This model does not support assistant message prefill",
    "Cannot connect: connection refused",
    "cannot resolve host",
    "proxy answered 407",
    "certificate verify failed",
    "certificate has expired",
    "wrong version number",
]


def every_hint() -> list[str]:
    return [
        hint(Failure(kind=kind, message=message, status=status)) or ""
        for kind in FailureKind
        for message in MESSAGES
        for status in (None, 302, 504)
    ]


def a_failure(kind: FailureKind, message: str = "", **more) -> Failure:
    return Failure(kind=kind, message=message, **more)


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_has_a_fix_of_one_sentence(kind):
    said = hint(a_failure(kind, "something odd"))

    assert said
    assert "\n" not in said
    assert len(said) < 220


def test_every_setting_a_hint_names_exists():
    sections = Job.model_fields
    for section, field in re.findall(
        r"\b(\w+)\.([a-z_]+)\b", " ".join(every_hint()).replace("log.jsonl", "")
    ):
        if section in sections:
            model = sections[section].annotation
            assert field in model.model_fields, f"{section}.{field}"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (a_failure(FailureKind.BAD_REQUEST, MESSAGES[1]), 'request.api_version = "2023-06-01"'),
        (a_failure(FailureKind.BAD_REQUEST, MESSAGES[1]), "drop temperature"),
        (a_failure(FailureKind.BAD_REQUEST, MESSAGES[2]), "shorten the prompt"),
        (a_failure(FailureKind.BAD_REQUEST, MESSAGES[3]), "request.max_tokens"),
        (a_failure(FailureKind.BAD_REQUEST, MESSAGES[4]), "user turn"),
        (a_failure(FailureKind.TRUNCATED), "raise request.max_tokens"),
        (a_failure(FailureKind.AUTH, status=401), "ANTHROPIC_API_KEY"),
        (a_failure(FailureKind.NOT_FOUND, status=404), "request.model"),
        (a_failure(FailureKind.BILLING, status=402), "credit"),
        (a_failure(FailureKind.TOO_LARGE, status=413), "larger context"),
        (a_failure(FailureKind.TLS, MESSAGES[8]), "SSL_CERT_FILE"),
        (a_failure(FailureKind.TLS, MESSAGES[10]), "http://"),
        (a_failure(FailureKind.CONNECTION, MESSAGES[5]), "start the server"),
        (a_failure(FailureKind.CONNECTION, MESSAGES[6]), "DNS"),
        (a_failure(FailureKind.BAD_REQUEST, status=301), "request.base_url"),
        (a_failure(FailureKind.SERVER, status=504), "request.stream"),
    ],
)
def test_telling_details_make_the_fix_precise(failure, says):
    assert says in (hint(failure) or "")


def test_a_full_context_is_not_mended_by_more_tokens():
    reply = Reply(text="x", stop_reason="model_context_window_exceeded", model="m", usage=Usage())

    assert "shorten the prompt" in (hint(a_failure(FailureKind.TRUNCATED, reply=reply)) or "")
