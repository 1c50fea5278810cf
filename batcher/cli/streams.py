"""Standard input, output and error, also for a process that was started without them."""

import os
import sys
from contextlib import suppress

_STANDARD = 3  # input, output, error


def open_streams() -> None:
    """Give the standard streams that were closed the null device.

    The event loop ends the whole process when one of its own descriptors is below three.
    """
    with suppress(OSError):  # a system without the null device
        while (fd := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
            os.set_inheritable(fd, True)
        os.close(fd)
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end
