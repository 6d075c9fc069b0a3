"""`python -m navplan`."""

import sys

from navplan.cli import main

sys.exit(main())
