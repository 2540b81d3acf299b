"""Operators' requests to components that are processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gameday.component_spec import CommandComponent
from gameday.errors import UsageError
from gameday.targets.instance import Instance
from gameday.targets.request import request_by_operator


class Requests(Instance):
    """Implements `Requestable`."""

    def request(self, component: str, http: str, body: Mapping[str, Any] | None, timeout_s: float) -> str:
        """Send it with the operator's headers; status and the beginning of the answer, without any secret."""
        spec = self._component(component).spec
        if not isinstance(spec, CommandComponent):
            raise UsageError(f"{component} is a {spec.verb}; only a command takes HTTP requests")
        what = f"{http} of {component}"
        with self._translated(what):
            return request_by_operator(
                spec.operator.headers,
                self.address(component),
                http,
                body,
                timeout_s,
                what=what,
                secrets=self._secrets,
            )
