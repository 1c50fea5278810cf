"""The rule table: what is refused before it is sent, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.providers.anthropic.sampling import generation, refused

OLD, NEW = "2023-06-01", "2026-10-21"


def settings_refused(
    model: str,
    version: str = OLD,
    *,
    temperature: object = None,
    top_p: object = None,
    top_k: object = None,
) -> list[str]:
    problems = refused(
        model=model, version=version, temperature=temperature, top_p=top_p, top_k=top_k
    )
    return [problem.setting for problem in problems]


@pytest.mark.parametrize(
    ("model", "since"),
    [
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-sonnet-4-5@20250929", (4, 5)),
        ("claude-opus-4-1-20250805", (4, 1)),
        ("claude-opus-4-20250514", (0, 0)),
        ("claude-3-5-sonnet-20241022", (0, 0)),
        ("claude-2.1", (0, 0)),
        ("claude-sonnet-4-6", (4, 6)),
        ("claude-opus-4-7", (4, 7)),
        ("claude-opus-5", (4, 7)),
        ("claude-fable-5-2", (4, 7)),
        ("claude-sonnet-10", (4, 7)),
    ],
)
def test_a_models_name_tells_its_generation(model: str, since: tuple[int, int]) -> None:
    found = generation(model)

    assert found is not None
    assert found.since == since


@pytest.mark.parametrize("model", ["claude-mythos-preview", "gpt-5", "anthropic/claude-opus-5", ""])
def test_other_names_belong_to_no_generation(model: str) -> None:
    assert generation(model) is None


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-5", "claude-mythos-preview"])
def test_the_new_api_version_refuses_all_three_even_at_their_defaults(model: str) -> None:
    assert settings_refused(model, NEW, temperature=1, top_p=0.99, top_k=1) == [
        "temperature",
        "top_p",
        "top_k",
    ]


@pytest.mark.parametrize(
    "model", ["claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5", "claude-haiku-5-5"]
)
def test_models_since_4_7_take_their_default_temperature_only(model: str) -> None:
    assert settings_refused(model, temperature=1.0) == []
    assert settings_refused(model, temperature=0.5) == ["temperature"]
    assert settings_refused(model, top_p=0.9, top_k=5) == ["top_p", "top_k"]


@pytest.mark.parametrize(
    "model", ["claude-opus-4-1", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-6"]
)
def test_models_from_4_1_to_4_6_take_temperature_or_top_p(model: str) -> None:
    assert settings_refused(model, temperature=0.2, top_k=5) == []
    assert settings_refused(model, top_p=0.9) == []
    assert settings_refused(model, temperature=0.2, top_p=0.9) == ["top_p"]


def test_older_models_take_all_three() -> None:
    assert settings_refused("claude-3-5-haiku-20241022", temperature=0, top_p=0.9, top_k=5) == []


@pytest.mark.parametrize("model", ["claude-2.1", "claude-haiku-4-5", "claude-mythos-preview"])
def test_no_claude_model_takes_a_temperature_above_one(model: str) -> None:
    assert settings_refused(model, temperature=1.2) == ["temperature"]


@given(
    version=st.sampled_from([OLD, NEW, "2027-01-01"]),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0.1, 1),
    top_k=st.none() | st.integers(1, 100),
)
def test_other_servers_models_are_refused_nothing(
    version: str, temperature: float | None, top_p: float | None, top_k: int | None
) -> None:
    assert (
        settings_refused("qwen3-8b", version, temperature=temperature, top_p=top_p, top_k=top_k)
        == []
    )


def test_every_problem_comes_with_a_fix_that_helps_this_model() -> None:
    (old_model,) = refused(
        model="claude-haiku-4-5", version=NEW, temperature=0.5, top_p=None, top_k=None
    )
    (new_model,) = refused(
        model="claude-opus-5", version=NEW, temperature=0.5, top_p=None, top_k=None
    )

    assert "request.api_version" in old_model.hint
    assert new_model.hint == "leave temperature out"
