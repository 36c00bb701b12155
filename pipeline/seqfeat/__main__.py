"""Run the command line with ``python -m seqfeat``."""

import sys

from seqfeat.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
