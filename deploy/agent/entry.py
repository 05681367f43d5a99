"""Where the one-file binary begins."""

import sys

from agent.cli import main

sys.exit(main())
