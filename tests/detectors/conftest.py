"""Fixtures of the detector tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detectors.metrics_server import MetricsServer


@pytest.fixture
def metrics() -> Iterator[MetricsServer]:
    server = MetricsServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def other_metrics() -> Iterator[MetricsServer]:
    server = MetricsServer()
    server.start()
    yield server
    server.close()
