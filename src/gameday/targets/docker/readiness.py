"""When a container is ready: by its HTTP path, by its health check, or by a port that accepts."""

from __future__ import annotations

from collections.abc import Sequence

from gameday.errors import OperationTimedOut, TargetError
from gameday.targets.answers import answers
from gameday.targets.docker.instance import DockerInstance
from gameday.targets.waiting import Deadline, wait_until

_POLL_S = 0.05


class Readiness(DockerInstance):
    """Waiting until containers that were started answer."""

    def _wait_ready(self, component: str, containers: Sequence[str], deadline: Deadline) -> None:
        """Raises OperationTimedOut, or TargetError when one ended before it was ready."""
        spec = self._spec(component)
        within = deadline.at_most(spec.ready.within)
        looked_at = ""

        def ready() -> bool:
            nonlocal looked_at
            for looked_at in containers:  # each time all: one that ran a moment ago may have ended
                if not self._is_ready(component, looked_at):
                    return False
            return self._answers(component)

        if not wait_until(ready, within, _POLL_S):
            raise OperationTimedOut(
                f"{component} runs but was not ready within {within.timeout_s:g} s; its last log lines:\n"
                f"{self._log_of(looked_at, 15)}"
            )

    def _is_ready(self, component: str, container: str) -> bool:
        """By what the engine knows of one container."""
        state = self._engine.inspect(container)["State"]
        if state["Status"] in ("exited", "dead"):
            raise TargetError(
                f"{component} ended with exit code {state['ExitCode']} before it was ready; its last log lines:\n"
                f"{self._log_of(container, 15)}"
            )
        if not state["Running"] or state.get("Restarting"):
            return False
        if self._spec(component).ready.http is not None or "Health" not in state:
            return True
        return bool(state["Health"]["Status"] == "healthy")

    def _answers(self, component: str) -> bool:
        """By asking it, where the environment says how; a proxy of the engine accepts for a port that nobody serves."""
        address = self.address(component)
        return not address.host or answers(address.host, address.port, self._spec(component).ready.http)

    def _log_of(self, container: str, lines: int) -> str:
        with self._engine.translated(f"log of {container[:12]}"):
            text = self._engine.api.logs(container, tail=lines, stdout=True, stderr=True)
        shown = self._secrets.redact(bytes(text).decode(errors="replace")).splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in shown) or "    (no output)"
