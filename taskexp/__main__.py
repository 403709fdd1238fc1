"""The command line as `python -m taskexp`."""

import sys

from taskexp.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
