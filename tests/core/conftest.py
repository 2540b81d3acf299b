"""Hypothesis without deadlines: the machine that runs these tests is shared and busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "busy",
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("busy")
