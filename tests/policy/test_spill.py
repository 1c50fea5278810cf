"""Whether what is missing from a bucket has run over, or others have taken it."""

from batcher.policy.spill import Spill


def weighed(*missing: tuple[float, bool]) -> Spill:
    """A second between each, with so much missing and the bucket full or not."""
    spill = Spill()
    for now, (seconds, is_full) in enumerate(missing):
        spill.missing(seconds, float(now), is_full=is_full)
    return spill


def test_what_a_full_bucket_misses_again_and_again_runs_over() -> None:
    assert weighed((0.6, True), (0.6, True)).is_proven


def test_once_and_little_says_nothing_yet() -> None:
    assert not weighed((0.6, True)).is_proven


def test_what_is_missing_from_one_that_is_not_full_was_taken() -> None:
    assert not weighed((0.6, False), (0.6, True), (0.6, False)).is_proven


def test_others_who_come_are_seen_within_seconds() -> None:
    spill = weighed(*[(0.6, True)] * 5, *[(1.0, False)] * 5)

    assert not spill.is_proven


def test_what_was_long_ago_counts_no_more() -> None:
    spill = weighed(*[(2.0, False)] * 5)
    spill.missing(1.2, 60.0, is_full=True)

    assert spill.is_proven


def test_only_a_full_bucket_runs_over() -> None:
    spill = weighed((2.0, True), (2.0, True))

    assert spill.missing(0.1, 2.0, is_full=True)
    assert not spill.missing(0.1, 3.0, is_full=False)
    assert spill.is_proven
