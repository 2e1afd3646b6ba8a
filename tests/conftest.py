"""What holds for all tests."""

from __future__ import annotations

import os

# Tests run side by side on tiny models: threads within one would only stand in each other's way.
# Set before torch is imported by anything, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
