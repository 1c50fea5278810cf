"""Codes of millions of lines, in pages."""

from hypothesis import given
from hypothesis import strategies as st

from batcher.storage.marks import PAGE, Marks

lines = st.integers(1, 3 * PAGE) | st.integers(10**12, 10**12 + 5)


def mark(marks: Marks, line: int, code: int) -> None:
    page = marks.page(line)
    if not page[line % PAGE]:
        page[line % PAGE] = code
        marks.filled(line, 1)


@given(st.lists(st.tuples(lines, st.integers(1, 5))), lines, st.integers(0, 2 * PAGE))
def test_marks_are_a_dictionary_in_which_the_first_entry_stays(
    given_codes: list[tuple[int, int]], first: int, more: int
) -> None:
    marks, known = Marks(), dict[int, int]()
    for line, code in given_codes:
        mark(marks, line, code)
        known.setdefault(line, code)

    assert all(marks[line] == code for line, code in known.items())
    assert marks[first] == known.get(first, 0)
    assert marks.count == len(known)
    assert marks.last == max(known, default=0)
    for code in range(1, 6):
        assert marks.count_of(code) == sum(each == code for each in known.values())
    assert marks.has_all(first, first) == (first in known)
    assert not marks.has_all(first, first + len(known))


WHOLE = Marks()
for each in range(3 * PAGE):
    mark(WHOLE, each, 1)


@given(st.integers(0, 2 * PAGE), st.integers(0, PAGE))
def test_a_whole_stretch_is_known_to_be_whole(start: int, length: int) -> None:
    assert WHOLE.count == WHOLE.count_of(1) == 3 * PAGE
    assert WHOLE.has_all(start, min(start + length, 3 * PAGE - 1))
    assert not WHOLE.has_all(start, 3 * PAGE)


def test_whole_pages_of_one_code_take_no_memory_of_their_own() -> None:
    marks = Marks()
    for line in range(4 * PAGE):
        mark(marks, line, 1 if line != PAGE else 2)

    assert marks.page(0) is marks.page(2 * PAGE) is marks.page(3 * PAGE)
    assert marks.page(PAGE) is not marks.page(0)
    assert marks[PAGE] == 2
