"""Presets fill in what the user left open, as far as the model takes it."""

from typing import Any

import pytest

from batcher.job import Request
from batcher.providers.presets import apply_preset


def filled(**fields: Any) -> tuple[int, float | None, float | None]:
    request = apply_preset(Request.model_validate(fields))
    return request.max_tokens, request.temperature, request.top_p


def test_no_preset_leaves_the_very_same_request() -> None:
    request = Request(model="m")

    assert apply_preset(request) is request


@pytest.mark.parametrize("provider", ["openai", "local", "simulated", "anthropic"])
def test_a_model_that_takes_everything_gets_everything(provider: str) -> None:
    assert filled(provider=provider, model="m", preset="chat") == (300, 0.5, 0.8)
    assert filled(provider=provider, model="m", preset="content") == (800, 0.7, 0.9)


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-6"])
def test_only_the_temperature_where_one_of_both_is_taken(model: str) -> None:
    assert filled(model=model, preset="content") == (800, 0.7, None)
    assert filled(model=model, preset="content", top_p=0.5) == (800, None, 0.5)
    assert filled(model=model, preset="content", temperature=0.1) == (800, 0.1, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "claude-haiku-5-5"},
        {"model": "claude-opus-4-7"},
        {"model": "claude-mythos-preview"},
        {"model": "claude-haiku-4-5", "api_version": "2026-10-21"},
        {"model": "claude-opus-5", "provider": "openai"},
        {"model": "gpt-5-mini", "provider": "openai"},
        {"model": "o3", "provider": "openai"},
    ],
)
def test_only_the_length_where_sampling_is_refused(fields: dict[str, Any]) -> None:
    assert filled(preset="chat", **fields) == (300, None, None)


def test_what_the_user_set_wins_even_where_it_equals_the_default() -> None:
    assert filled(model="m", preset="chat", max_tokens=1024, top_p=1.0) == (1024, 0.5, 1.0)
    assert filled(model="m", preset="chat", temperature=None) == (300, None, 0.8)


@pytest.mark.parametrize("model", ["m", "claude-haiku-4-5", "claude-opus-5"])
def test_filling_in_twice_changes_nothing(model: str) -> None:
    once = apply_preset(Request(model=model, preset="content"))

    assert apply_preset(once) == once
