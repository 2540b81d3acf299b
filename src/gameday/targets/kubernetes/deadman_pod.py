"""The dead-man switch in its pod: it watches the lease of a drill, and reverts the drill when its runner cannot.

    python -m gameday.targets.kubernetes.deadman_pod

It acts when nobody renewed the lease for its duration, while the API server answered throughout, and when a fault
outlives its time-to-live: both by its own clock. Until then it imports next to nothing. It reverts by `gameday
recover`, tries again until all is reverted, and ends when the drill has no lease and nothing to revert any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gameday.targets.kubernetes.api import JSON_PATCH, Api, Away, Changed
from gameday.targets.kubernetes.observed import (
    BEAT_S,
    LEASE_S,
    LOG,
    PREFIX,
    RENEW_S,
    SAID,
    SWITCH,
    TOLD,
    Renewals,
)

_AWAY_S = 0.5
_AGAIN_S = 5.0
_RECOVER_S = 600.0
_SAID_LIMIT = 32 * 1024
_GONE = "the runner is gone"
_OVER = "the fault outlived its time-to-live"
_FOLDER = Path("/tmp/gameday")  # noqa: S108 - a volume of its own pod


@dataclass(frozen=True, slots=True)
class Post:
    """Which drill it stands behind, as its job says."""

    drill: str
    environment: str
    lease: str
    records: str
    job: str
    pod: str

    @classmethod
    def of_pod(cls) -> Post:
        return cls(
            *(
                os.environ[f"GAMEDAY_{name}"]
                for name in ("STANDS_BEHIND", "ENVIRONMENT", "LEASE", "RECORDS", "JOB", "POD")
            )
        )


class Vigil:
    """When there is a reason to act: decided by what the lease says, and by one's own clock."""

    def __init__(self, drill: str, me: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._drill, self._me, self._clock = drill, me, clock
        self._renewals = Renewals(clock)
        self._heard = 0
        self.deadline: float | None = None
        self.armed = 0
        """The last thing told to us that we answer for; one that was told to our predecessor began before our clock."""

    def reason(self, lease: Mapping[str, Any] | None) -> str | None:
        """Look at the lease as it is now; None while there is nothing to do."""
        spec = {} if lease is None else lease["spec"]
        unchanged_s = self._renewals.look((spec.get("holderIdentity"), spec.get("renewTime")))
        self._listen(_note(lease, TOLD))
        if (
            spec.get("holderIdentity") == self._drill
            and self.deadline is not None
            and self._clock() >= self.deadline
        ):
            return _OVER
        return _GONE if unchanged_s >= LEASE_S else None

    def away(self) -> None:
        """Nobody could have renewed it: its time begins anew."""
        self._renewals.forget()

    def _listen(self, told: Mapping[str, Any]) -> None:
        seq = int(told.get("seq", 0))
        if seq <= self._heard:
            return
        self._heard = seq
        until = self._clock() + float(told["left_s"])
        self.deadline = until if self.deadline is None else min(self.deadline, until)
        if told.get("to") == self._me:
            self.armed = seq


class Guard:
    """The switch at work."""

    def __init__(self, api: Api, post: Post) -> None:
        self._api, self._post = api, post
        self._instance = f"{post.pod}.{secrets.token_hex(3)}"
        self._identity = f"{post.drill}/dead-man switch {self._instance}"
        self._vigil = Vigil(post.drill, self._instance)
        self._needs: list[list[str]] = json.loads(os.environ.get("GAMEDAY_NEEDS", "[]"))
        self._lacks: str | None = None
        self._acting: str | None = None
        self._beat = 0
        self._answered, self._answered_at = 0, 0.0

    def run(self) -> int:
        """Until there is nothing more to do."""
        while True:
            try:
                if self._step():
                    return 0
            except (Away, Changed) as error:
                _say(str(error))
                self._vigil.away()
                time.sleep(_AWAY_S)

    def _step(self) -> bool:
        """One look, and what it asks for. True when there is nothing more to do."""
        lease = self._api.lease(self._post.lease)
        holder = "" if lease is None else str(lease["spec"].get("holderIdentity", ""))
        if self._acting is not None and holder == self._identity:
            return self._go_on()
        self._acting = None
        if holder.partition("/")[0] != self._post.drill and self._api.config_map(self._post.records) is None:
            _say("the drill is over")
            self._api.delete_job(self._post.job)
            return True
        reason = self._vigil.reason(lease)
        if reason is not None:
            self._take(lease, reason)
            return False
        if lease is None:
            time.sleep(_AWAY_S)
        else:
            newest = self._answer() or lease
            self._api.await_change(
                self._post.lease, newest["metadata"]["resourceVersion"], self._patience_s()
            )
        return False

    def _patience_s(self) -> float:
        deadline = self._vigil.deadline
        return RENEW_S if deadline is None else max(0.0, min(RENEW_S, deadline - time.monotonic()))

    def _answer(self) -> Mapping[str, Any] | None:
        """Say now and then that we are here, and at once what we have heard."""
        now, armed = time.monotonic(), self._vigil.armed
        if self._beat and armed == self._answered and now - self._answered_at < BEAT_S:
            return None
        problem = self._lacking()
        if armed != self._answered and self._api.config_map(self._post.records) is None:
            problem = f"there is no ConfigMap {self._post.records}"
        self._beat, self._answered, self._answered_at = self._beat + 1, armed, now
        note = {"drill": self._post.drill, "instance": self._instance, "beat": self._beat, "armed": armed}
        if problem:
            note["problem"] = problem
        return self._api.patch_lease(
            self._post.lease, {"metadata": {"annotations": {SWITCH: json.dumps(note)}}}
        )

    def _lacking(self) -> str:
        """What its account may not do, though reverting takes it; asked once."""
        if self._lacks is None:
            lacks = [
                f"{verb} {resource}"
                for group, resource, verb in self._needs
                if not self._api.allowed(group, resource, verb)
            ]
            self._lacks = ""
            if lacks:
                self._lacks = (
                    f"its service account may not {', '.join(lacks)}; `gameday rbac` prints what it needs"
                )
        return self._lacks

    # --- acting ----------------------------------------------------------------------------------------------

    def _take(self, lease: Mapping[str, Any] | None, reason: str) -> None:
        """Hold the lease ourselves, so that nobody else reverts; unless it was renewed in this moment."""
        now = _now()
        if lease is None:
            metadata = {
                "name": self._post.lease,
                "labels": {f"{PREFIX}lock": "true", f"{PREFIX}environment": self._post.environment},
            }
            spec = {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_S,
                "acquireTime": now,
                "renewTime": now,
            }
            self._api.create_lease({"metadata": metadata, "spec": spec})
        else:
            test = [
                {"op": "test", "path": f"/spec/{name}", "value": lease["spec"].get(name)}
                for name in ("holderIdentity", *(("renewTime",) if reason == _GONE else ()))
            ]
            self._api.patch_lease(self._post.lease, [*test, *_renewed(self._identity, now)], JSON_PATCH)
        _say(f"{reason}: reverting drill {self._post.drill}")
        self._acting = reason

    def _go_on(self) -> bool:
        """Revert what is pending. True when nothing is left and nobody else is there to end the drill."""
        records = self._api.config_map(self._post.records)
        if records is not None and _pending(records):
            said = self._recover(records)
            records = self._api.config_map(self._post.records)
            if records is not None:
                before = str((records.get("data") or {}).get(SAID, ""))
                self._api.patch_config_map(
                    self._post.records, {"data": {SAID: (before + said)[-_SAID_LIMIT:]}}
                )
            if records is not None and _pending(records):
                _say(f"not all is reverted; trying again in {_AGAIN_S:g} s")
                self._pause(_AGAIN_S)
                return False
        if self._acting == _OVER:
            self._hand_back()
            return False
        if records is not None:
            self._api.delete_config_map(self._post.records)
        lease = self._api.lease(self._post.lease)
        if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
            self._api.delete_lease(self._post.lease, lease["metadata"]["resourceVersion"])
        _say("all is reverted")
        self._api.delete_job(self._post.job)
        return True

    def _hand_back(self) -> None:
        """To the runner, if it is still there; if not, nobody renews it."""
        test = {"op": "test", "path": "/spec/holderIdentity", "value": self._identity}
        self._api.patch_lease(self._post.lease, [test, *_renewed(self._post.drill, _now())], JSON_PATCH)
        self._acting, self._vigil.deadline = None, None
        _say("reverted; the runner goes on")

    def _recover(self, records: Mapping[str, Any]) -> str:
        """`gameday recover` does it: there is one way to put a drill back, whoever asks for it. What it said."""
        log = self._write_log(records)
        environment = os.environ | {"GAMEDAY_LEASE_IDENTITY": self._identity, "GAMEDAY_PROJECT": str(_FOLDER)}
        command = [sys.executable, "-m", "gameday", "recover", "--log", str(log)]
        command += ["--by", "dead-man switch", "--reason", str(self._acting)]
        output = _FOLDER / "said"
        with output.open("wb") as file:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment
            )
            until = time.monotonic() + _RECOVER_S
            while child.poll() is None:
                if time.monotonic() > until:
                    child.kill()
                self._pause(RENEW_S, lambda: child.poll() is not None)
        said = f"{_now()} {self._acting}\n{output.read_text(encoding='utf-8', errors='replace')}"
        _say(said)
        return said

    def _write_log(self, records: Mapping[str, Any]) -> Path:
        """The log as this pod can use it: with the cluster as it is reached from here, and folders that are here."""
        first, *rest = str(records["data"][LOG]).splitlines()
        header = json.loads(first)
        header["environment"]["kubernetes"]["context"] = "in-cluster"
        header |= {"project": str(_FOLDER), "evidence": str(_FOLDER / "reports" / self._post.drill)}
        folder = _FOLDER / "undo"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{self._post.drill}.jsonl"
        log.write_text("".join(f"{line}\n" for line in [json.dumps(header), *rest]), encoding="utf-8")
        return log

    def _pause(self, seconds: float, over: Callable[[], bool] = lambda: False) -> None:
        """Wait, and keep the lease meanwhile."""
        with contextlib.suppress(Away, Changed):
            test = {"op": "test", "path": "/spec/holderIdentity", "value": self._identity}
            self._api.patch_lease(self._post.lease, [test, *_renewed(self._identity, _now())], JSON_PATCH)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not over():
            time.sleep(0.05)


def _annotations(lease: Mapping[str, Any]) -> Mapping[str, str]:
    return lease["metadata"].get("annotations") or {}


def _note(lease: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """An annotation that is JSON."""
    if lease is None:
        return {}
    try:
        found = json.loads(_annotations(lease).get(name, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _pending(records: Mapping[str, Any]) -> bool:
    """Whether something in a log is not reverted, as `UndoLog.pending` says it. What cannot be read is."""
    try:
        lines = [json.loads(line) for line in str(records["data"][LOG]).splitlines()[1:]]
        done = {line["id"] for line in lines if line.get("ok")}
        return any("undo" in line and line["id"] not in done for line in lines)
    except (ValueError, KeyError, TypeError):
        return True


def _renewed(identity: str, now: str) -> list[dict[str, Any]]:
    return [
        {"op": "add", "path": "/spec/holderIdentity", "value": identity},
        {"op": "add", "path": "/spec/renewTime", "value": now},
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _end(*_: object) -> None:
    """Somebody removes the pod. As the first process of it we would not be ended by the signal alone."""
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(Guard(Api.of_pod(), Post.of_pod()).run())
