"""Say in one line if this Python is too old; runs before anything is installed."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the whole point is to run on older ones
    sys.exit(
        "growthpace needs Python 3.11 or newer, this is {}.{}; "
        "install one and run: make PYTHON=python3.11 ...".format(*sys.version_info[:2])
    )
