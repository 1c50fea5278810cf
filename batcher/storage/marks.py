"""A small number for each of millions of lines, in little memory.

Lines are kept in pages, a byte each. A page whose lines all have the same number is replaced
by one that all such pages share, so a run that goes well takes next to nothing, and a stray
line number in a damaged file costs one page.
"""

PAGE = 4096


class Marks:
    """Line number (from 0) to a code from 1 to 255; 0 stands for none.

    Attributes:
        count: Lines that have a code.
    """

    __slots__ = ("_alike", "_left", "_pages", "count")

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._alike: dict[int, bytearray] = {}  # code -> a page of nothing else, never written to
        self._left: dict[int, int] = {}  # lines without a code, of pages not shared
        self.count = 0

    def __getitem__(self, line: int) -> int:
        page = self._pages.get(line // PAGE)
        return page[line % PAGE] if page is not None else 0

    def page(self, line: int) -> bytearray:
        """The page of a line, to read; and to write where it holds 0, and tell `filled`."""
        index = line // PAGE
        page = self._pages.get(index)
        if page is None:
            page = self._pages[index] = bytearray(PAGE)
            self._left[index] = PAGE
        return page

    def filled(self, line: int, count: int) -> None:
        """So many lines of this line's page have been given a code since the last call."""
        if not count:
            return
        self.count += count
        index = line // PAGE
        left = self._left[index] = self._left[index] - count
        if not left:
            del self._left[index]
            page = self._pages[index]
            if page.count(page[0]) == PAGE:
                self._pages[index] = self._alike.setdefault(page[0], page)

    def has_all(self, first: int, last: int) -> bool:
        """Whether each of these lines has a code."""
        for index in range(first // PAGE, last // PAGE + 1):
            page = self._pages.get(index)
            if page is None:
                return False
            if index in self._left:
                start, end = max(first - index * PAGE, 0), last - index * PAGE + 1
                if page.find(0, start, end) >= 0:
                    return False
        return True

    def count_of(self, code: int) -> int:
        """How many lines have this code."""
        return sum(page.count(code) for page in self._pages.values())

    @property
    def last(self) -> int:
        """The highest line that has a code; 0 for none."""
        for index in sorted(self._pages, reverse=True):
            if held := self._pages[index].rstrip(b"\0"):
                return index * PAGE + len(held) - 1
        return 0
