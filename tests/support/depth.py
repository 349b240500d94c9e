"""The number of examples per property test. By default there are few, and every run draws the same ones.

``PROPERTY_DEPTH=50 pytest tests/property`` draws fifty times as many, and new ones in each run.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

DEPTH = int(os.environ.get("PROPERTY_DEPTH", "1"))


def examples(number):
    """Return Hypothesis settings for this number of examples, times the depth."""
    return settings(
        max_examples=number * DEPTH,
        derandomize=DEPTH == 1,
        deadline=None,
        phases=[phase for phase in Phase if phase is not Phase.explain],  # slower than all other phases
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large,
                               HealthCheck.function_scoped_fixture],
    )  # fmt: skip
