"""How many examples a property is tried on: few and always the same in the suite, many and new ones where asked.

``PROPERTY_DEPTH=50 pytest tests/test_property_*.py`` tries fifty times as many, drawn anew each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

DEPTH = int(os.environ.get("PROPERTY_DEPTH", "1"))


def examples(number):
    """Try a property on so many examples, times the depth."""
    return settings(
        max_examples=number * DEPTH,
        derandomize=DEPTH == 1,
        deadline=None,
        phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes longer than all the rest
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large,
                               HealthCheck.function_scoped_fixture],
    )  # fmt: skip
