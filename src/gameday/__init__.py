"""Chaos and game-day drills that prove alerts, runbooks and recovery objectives."""

__version__ = "0.1.0"
