"""What an unknown limit counts, told from the sizes of what it refuses."""

from batcher.policy.ticket import INPUT, OUTPUT, REQUESTS
from batcher.policy.unit import Unit

SHORT = (1.0, 100.0, 20.0, 120.0)


def test_a_job_of_long_prompts_is_thought_to_meet_a_limit_of_tokens() -> None:
    assert (
        Unit().likeliest(REQUESTS, (1.0, 5000.0, 20.0, 5020.0), is_first=True, is_answered=True)
        == INPUT
    )


def test_refusing_long_prompts_again_and_again_tells_of_tokens() -> None:
    unit = Unit()
    for _ in range(10):
        unit.refused(3.0)

    assert unit.likeliest(REQUESTS, SHORT, is_first=False, is_answered=True) == INPUT


def test_a_unit_that_has_explained_everything_is_not_given_up_at_little_evidence() -> None:
    unit = Unit()
    unit.is_proven = True

    assert Unit().likeliest(INPUT, SHORT, is_first=False, is_answered=True) == REQUESTS
    assert unit.likeliest(INPUT, SHORT, is_first=False, is_answered=True) == INPUT


def test_a_pinned_unit_is_no_matter_of_evidence() -> None:
    unit = Unit()
    unit.is_pinned = True
    unit.refused(100.0)

    assert (
        unit.likeliest(REQUESTS, (1.0, 9000.0, 0.0, 9000.0), is_first=False, is_answered=True)
        == REQUESTS
    )


def test_output_is_no_choice_before_an_answer_has_told_how_long_they_are() -> None:
    """A run that joins another is refused at once, and its guess is a share of max_tokens."""
    unit = Unit()
    unit.refused(1.0)
    guessed = (1.0, 30.0, 1000.0)

    assert unit.likeliest(REQUESTS, guessed, is_first=True, is_answered=False) == REQUESTS
    assert unit.likeliest(REQUESTS, guessed, is_first=True, is_answered=True) == OUTPUT
