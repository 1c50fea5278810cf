from dataclasses import replace

from batcher.policy.outage import STREAK, Outage
from batcher.records import FailureKind
from tests.support.builders import a_failure

DOWN = a_failure(FailureKind.OVERLOADED, status=503)


def an_outage(**patience: float) -> Outage:
    return Outage(**{"unanswered_s": 120.0, "answered_s": 3600.0, **patience})


def struck(outage: Outage, times: int, *, first_line: int = 1) -> bool:
    belongs = False
    for line in range(first_line, first_line + times):
        belongs = outage.failed(DOWN, line=line, is_probe=False, now=10.0)
    return belongs


def test_the_same_fault_on_many_rows_in_a_row_is_an_outage() -> None:
    outage = an_outage()

    assert not struck(outage, STREAK - 1)
    assert struck(outage, 1, first_line=STREAK)


def test_one_bad_row_however_often_it_fails_is_no_outage() -> None:
    outage = an_outage()
    for _ in range(10 * STREAK):
        outage.failed(DOWN, line=7, is_probe=False, now=1.0)

    assert not outage.is_open


def test_an_answer_in_between_breaks_the_streak() -> None:
    outage = an_outage()
    struck(outage, STREAK - 1)
    outage.succeeded()

    assert not struck(outage, STREAK - 1)


def test_an_outage_lets_one_probe_through_at_a_time_and_less_and_less_often() -> None:
    outage = an_outage()
    struck(outage, STREAK)
    waits = []
    now = 10.0
    for _ in range(7):
        wait_s = outage.wait_s(now=now)
        waits.append(wait_s)
        now += wait_s
        assert outage.wait_s(now=now) == 0.0
        outage.probe_sent()
        assert outage.wait_s(now=now) > 0
        outage.failed(DOWN, line=99, is_probe=True, now=now)

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_stragglers_of_the_first_wave_do_not_lengthen_the_pause() -> None:
    outage = an_outage()
    struck(outage, 6 * STREAK)

    assert outage.wait_s(now=10.0) == 0.5


def test_probes_alternate_between_untried_and_tried_rows() -> None:
    outage = an_outage()
    struck(outage, STREAK)
    kinds = []
    for _ in range(4):
        kinds.append(outage.probe_untried)
        outage.probe_sent()

    assert kinds == [True, False, True, False]


def test_a_probe_that_is_answered_or_fails_differently_ends_it() -> None:
    for end in ("answer", "other fault"):
        outage = an_outage()
        struck(outage, STREAK)
        if end == "answer":
            outage.succeeded()
        else:
            other = a_failure(FailureKind.BAD_RESPONSE, status=200)
            assert not outage.failed(other, line=1, is_probe=True, now=11.0)

        assert not outage.is_open


def test_faults_of_rows_among_429s_are_still_a_streak_of_their_own() -> None:
    outage = an_outage()
    struck(outage, STREAK - 1)
    outage.failed(a_failure(FailureKind.RATE, status=429), line=500, is_probe=False, now=10.0)

    assert struck(outage, 1, first_line=STREAK)


def test_a_server_that_never_answered_is_waited_for_less_long() -> None:
    outage = an_outage()
    struck(outage, STREAK)

    assert outage.verdict(now=129.0) is None
    assert "120 s" in str(outage.verdict(now=130.0))


def test_a_server_that_has_answered_is_waited_for_an_hour() -> None:
    outage = an_outage()
    outage.succeeded()
    struck(outage, STREAK)

    assert outage.verdict(now=3000.0) is None
    assert outage.verdict(now=3610.0) is not None


def test_a_request_every_row_shares_and_the_server_refuses_stops_the_run() -> None:
    outage = an_outage()
    refused = a_failure(FailureKind.BAD_REQUEST, status=400, message="max_tokens: too large")
    for line in range(1, 26):
        outage.failed(refused, line=line, is_probe=False, now=1.0)

    assert "max_tokens: too large" in str(outage.verdict(now=1.0))


def test_refusals_of_rows_do_not_stop_a_run_that_has_answers() -> None:
    outage = an_outage()
    outage.succeeded()
    refused = a_failure(FailureKind.BAD_REQUEST, status=400)
    for line in range(1, 100):
        outage.failed(refused, line=line, is_probe=False, now=1.0)

    assert outage.verdict(now=1.0) is None


def test_a_server_that_says_it_is_down_is_believed_once_nobody_was_answered_for_a_while() -> None:
    outage = an_outage()
    said = [outage.failed(DOWN, line=1, is_probe=False, now=now) for now in (1.0, 4.0, 7.0)]

    assert said == [False, False, True]


def test_a_wish_to_be_left_alone_for_long_is_not_granted_to_a_server_that_is_down() -> None:
    outage = an_outage()
    for line in range(STREAK):
        outage.failed(replace(DOWN, retry_after_s=86_400.0), line=line, is_probe=False, now=1.0)

    assert outage.wait_s(now=1.0) == 60.0


def test_the_last_row_a_server_fails_at_is_blamed_itself_in_the_end() -> None:
    outage = an_outage(answered_s=100.0)
    outage.succeeded()
    for now in (1.0, 5.0, 9.0, 102.0):
        outage.failed(DOWN, line=7, is_probe=now > 9.0, now=now)

    assert outage.verdict(now=102.0) is None
    assert not outage.is_open
    assert not outage.failed(DOWN, line=7, is_probe=False, now=200.0)


def test_a_server_nobody_reaches_any_more_is_not_the_last_rows_fault() -> None:
    outage = an_outage(answered_s=100.0)
    gone = a_failure(FailureKind.CONNECTION)
    outage.succeeded()
    for now in (1.0, 5.0, 9.0, 102.0):
        outage.failed(gone, line=7, is_probe=now > 9.0, now=now)

    assert "failed every request" in str(outage.verdict(now=102.0))
