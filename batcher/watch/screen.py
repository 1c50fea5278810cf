"""The terminal, or whatever stands in its place; its end is not the run's."""

from rich.console import Console

from batcher.records import Summary
from batcher.watch.summary import print_summary
from batcher.watch.tally import Tally


class Screen(Console):
    """Writes to standard error; falls silent when nobody reads it any more.

    rich ends the process when a pipe is closed. A nightly run must outlive the terminal or
    the pipe it was started from.
    """

    def __init__(self, *, show: bool) -> None:
        super().__init__(stderr=True, quiet=not show, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Say nothing more."""
        self.quiet = True

    def finish(self, summary: Summary, tally: Tally) -> None:
        """Show the closing table.

        All it takes is loaded with this module: at the end there may be no file descriptor left
        to load it with.
        """
        print_summary(summary, tally, console=self)
