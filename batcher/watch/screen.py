"""The terminal, or whatever stands in its place; its end is not the run's."""

from rich.console import Console


class Screen(Console):
    """Writes to standard error; falls silent when nobody reads it any more.

    rich ends the process when a pipe is closed. A nightly run must outlive the terminal or
    the pipe it was started from.
    """

    def __init__(self, *, show: bool) -> None:
        super().__init__(stderr=True, quiet=not show, highlight=False)

    def on_broken_pipe(self) -> None:
        """Say nothing more."""
        self.quiet = True
