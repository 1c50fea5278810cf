"""The command line.

Loading Python code is half a second of every command, a fifth of which is the garbage
collector looking through objects that all stay. So it gets the patience a run has right here,
before all else is loaded; the process is ours.
"""

import gc

gc.set_threshold(100_000, 50, 1000)
