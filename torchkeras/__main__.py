"""`python -m torchkeras`: commands for files and more; `--help` lists them."""

import sys

from torchkeras.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
