"""How many of a component's targets a fault hits, as a scenario writes it."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from gameday.fields import Misfit, Model


class Counted(Model):
    count: int | None = Field(default=None, ge=1, le=1000)
    """Hit only so many of its containers or pods, by name; absent: all."""
    percent: int | None = Field(default=None, ge=1, le=100)
    """Instead of `count`: so many of a hundred of them, rounded up."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Counted:
        if self.count is not None and self.percent is not None:
            raise Misfit((("percent",), "stands beside count; expected one of the two"))
        return self

    def hits(self, there: int) -> int | None:
        """How many of so many; None for all."""
        return self.count if self.percent is None else math.ceil(there * self.percent / 100)
