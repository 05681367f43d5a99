"""``python -m qcloud``."""

import sys

from qcloud.cli import main

if __name__ == "__main__":
    sys.exit(main())
