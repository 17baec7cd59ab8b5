# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m natmodel` is the command `natmodel`."""

import sys

from natmodel.cli import main

if __name__ == "__main__":
    sys.exit(main())
