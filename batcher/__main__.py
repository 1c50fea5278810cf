"""`python -m batcher` is the command `batcher`."""

from batcher.cli.start import main

if __name__ == "__main__":
    main()
