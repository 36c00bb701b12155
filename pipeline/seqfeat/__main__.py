"""``python -m seqfeat``, the same as the program ``seqfeat``."""

import sys

from seqfeat.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
