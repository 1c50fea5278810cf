import pytest

from batcher.job import Patience
from batcher.policy.verdict import (
    DoubtKey,
    GiveUp,
    Halt,
    LeaveScope,
    ReplaceKey,
    RestKey,
    RetryIn,
    Verdict,
    verdict,
)
from batcher.records import FailureKind
from tests.support.builders import a_failure

TRANSIENT = [
    FailureKind.OVERLOADED,
    FailureKind.SERVER,
    FailureKind.CONNECTION,
    FailureKind.TIMEOUT,
    FailureKind.BAD_RESPONSE,
]


def rule(
    kind: FailureKind,
    *,
    failures: int = 1,
    in_outage: bool = False,
    refusals_alone: int = 0,
    ever_answered: bool = False,
    key_worked: bool = False,
    key_forbidden: int = 1,
    other_key: bool = False,
) -> Verdict:
    return verdict(
        a_failure(kind),
        failures=failures,
        in_outage=in_outage,
        refusals_alone=refusals_alone,
        ever_answered=ever_answered,
        key_worked=key_worked,
        key_forbidden=key_forbidden,
        other_key=other_key,
        delay_s=3.0,
        busy_delay_s=0.2,
        patience=Patience(max_attempts=4),
    )


@pytest.mark.parametrize("kind", TRANSIENT)
def test_a_transient_fault_is_tried_again_until_the_attempts_are_used_up(kind: FailureKind) -> None:
    assert rule(kind, failures=3) == RetryIn(delay_s=3.0)
    assert rule(kind, failures=4) == GiveUp()


@pytest.mark.parametrize("kind", TRANSIENT)
def test_an_outage_is_never_charged_to_a_row(kind: FailureKind) -> None:
    assert rule(kind, failures=99, in_outage=True) == RetryIn(delay_s=0.2, charged=False)


@pytest.mark.parametrize("kind", [FailureKind.RATE, FailureKind.RAMP])
def test_a_429_is_never_charged_to_a_row(kind: FailureKind) -> None:
    assert rule(kind, failures=99) == RetryIn(delay_s=0.2, charged=False)


def test_a_row_that_alone_is_refused_again_and_again_is_given_up() -> None:
    assert rule(FailureKind.RATE, refusals_alone=11) == RetryIn(delay_s=0.2, charged=False)
    assert rule(FailureKind.RATE, refusals_alone=12) == GiveUp()


def test_what_no_row_can_survive_stops_the_run() -> None:
    assert rule(FailureKind.TLS, ever_answered=True) == Halt()


@pytest.mark.parametrize("failures", [1, 99])
def test_spent_money_is_the_scopes_matter_and_never_the_rows(failures: int) -> None:
    assert rule(FailureKind.BILLING, ever_answered=True, failures=failures) == LeaveScope()


def test_an_unknown_model_stops_the_run_only_while_nothing_was_answered() -> None:
    assert rule(FailureKind.NOT_FOUND) == Halt()
    assert rule(FailureKind.NOT_FOUND, ever_answered=True) == GiveUp()


def test_a_refused_key_is_replaced_but_a_403_for_one_row_costs_that_row() -> None:
    assert rule(FailureKind.AUTH, ever_answered=True) == ReplaceKey()
    assert rule(FailureKind.PERMISSION) == ReplaceKey()
    assert rule(FailureKind.PERMISSION, ever_answered=True) == ReplaceKey()
    assert rule(FailureKind.PERMISSION, key_worked=True, failures=2) == RetryIn(delay_s=3.0)
    assert rule(FailureKind.PERMISSION, key_worked=True, failures=3) == GiveUp()


def test_a_key_that_is_forbidden_row_after_row_is_at_fault_itself() -> None:
    def forbidden(times: int, failures: int = 1) -> Verdict:
        return rule(FailureKind.PERMISSION, key_worked=True, key_forbidden=times, failures=failures)

    assert forbidden(4) == RetryIn(delay_s=3.0)
    assert forbidden(5, failures=3) == DoubtKey(delay_s=3.0)
    assert forbidden(19) == DoubtKey(delay_s=3.0)
    assert forbidden(20) == ReplaceKey()


def test_a_403_for_a_key_that_has_worked_is_tried_with_another_first() -> None:
    def again(failures: int) -> Verdict:
        return rule(FailureKind.PERMISSION, key_worked=True, other_key=True, failures=failures)

    assert again(2) == RestKey(delay_s=3.0)
    assert again(3) == GiveUp()


def test_a_model_that_one_key_may_not_use_is_asked_for_with_another() -> None:
    found = rule(FailureKind.NOT_FOUND, ever_answered=True, other_key=True)
    assert found == RestKey(delay_s=3.0)
    assert (
        rule(FailureKind.NOT_FOUND, ever_answered=True, other_key=True, key_worked=True) == GiveUp()
    )
    assert rule(FailureKind.NOT_FOUND, other_key=True) == Halt()


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.BAD_REQUEST,
        FailureKind.TOO_LARGE,
        FailureKind.TRUNCATED,
        FailureKind.REFUSED,
        FailureKind.PAUSED,
        FailureKind.EMPTY,
    ],
)
def test_what_would_fail_alike_again_is_not_tried_again(kind: FailureKind) -> None:
    assert rule(kind) == GiveUp()


def test_every_kind_of_failure_has_a_rule() -> None:
    for kind in FailureKind:
        assert rule(kind) is not None
