"""What a runner costs while it observes: processor time and memory in the phase in which a drill waits longest.

The drill waits for an alert whose rule cannot fire for a long time, with ten probe samples a second and eleven rules
evaluated each second, as written: environment and rules are copies of the shipped ones. Its processor time takes turns
with a bare httpx loop that sends the same requests and keeps nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.arithmetic import alternate
from bench.hotel import RULES, Hotel, events, hotel, relative, write_yaml
from bench.processes import GAMEDAY, PYTHON, ROOT, BenchError, background, finished, surroundings, timed
from bench.result import Result

WINDOW_S = 5.0
PAIRS = 3
CPU_BAR, MEMORY_BAR_MB = 5.0, 120.0
ALERT = "bench_held"
READY_S = 60.0
PROBES = {
    "bookings": "200ms",
    "database-answers": "200ms",
}
LOOP = """\
import asyncio, sys, time, httpx
async def main(url, seconds):
    body = {"guest": "Loop", "room_type": "double", "arrival": "2030-01-01", "nights": 1, "reference": "loop"}
    async with httpx.AsyncClient(base_url=url, timeout=1.0, trust_env=False) as client:
        async def ask(number):
            try:
                if number % 11:
                    await client.post("/reservations", json=body)
                else:
                    await client.get("/metrics")
            except httpx.HTTPError:
                pass
        began, cpu, asked = time.monotonic(), time.process_time(), []
        for number in range(round(seconds * 11)):
            asked.append(asyncio.create_task(ask(number)))
            await asyncio.sleep(max(0.0, began + (number + 1) / 11 - time.monotonic()))
        await asyncio.gather(*asked)
        print(100 * (time.process_time() - cpu) / (time.monotonic() - began))
asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""
IDLE = "import time; time.sleep(15)"


@dataclass(frozen=True, slots=True)
class Memory:
    """In MB: the runner's largest resident set so far, and what all processes of the drill share and own."""

    peak: float
    proportional: float


def measure(work: Path) -> list[Result]:
    """One drill, watched from outside in turn with the loop, then stopped."""
    with hotel("bench-cost", _changes()) as place:
        url = place.address("api")
        with _held(place, work) as runner:
            used, loops = alternate(lambda: _used(runner), lambda: _loop(url), PAIRS, warm_up=0)
            memory, idle = _memory(runner), _idle(work)
    return [
        Result(
            "processor while observing", "% of a core", tuple(used), "httpx loop", tuple(loops), bar=CPU_BAR
        ),
        Result(
            "runner's peak memory", "MB", (memory.peak,), "idle interpreter", (idle.peak,), bar=MEMORY_BAR_MB
        ),
        Result(
            "memory of all its processes",
            "MB",
            (memory.proportional,),
            "idle interpreter",
            (idle.proportional,),
            bar=MEMORY_BAR_MB,
            note="proportional set size of runner, engine and dead-man switch",
        ),
    ]


# --- the drill that waits -----------------------------------------------------------------------------------


def _changes() -> dict[str, Any]:
    shipped = yaml.safe_load((ROOT / "environments" / "hotel-local.yaml").read_text(encoding="utf-8"))
    probes = {name: shipped["probes"][name] | {"every": every} for name, every in PROBES.items()}
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    rule = next(
        rule for rule in rules["groups"][0]["rules"] if rule["alert"] == "database_connection_failures"
    )
    rules["groups"][0]["rules"].append(rule | {"alert": ALERT, "for": "30m"})
    detector = shipped["detector"] | {"rules": relative(write_yaml("rules-cost", rules)), "every": "1s"}
    return {"probes": probes, "detector": detector, "canary": None}


@contextmanager
def _held(place: Hotel, work: Path) -> Iterator[psutil.Process]:
    """A runner in its detect phase. It is told to stop afterwards, and puts everything back."""
    document = yaml.safe_load((ROOT / "scenarios" / "database-down.yaml").read_text(encoding="utf-8"))
    scenario = write_yaml(
        "cost-scenario",
        document
        | {
            "scenario": "cost-scenario",
            "expect": {
                "alert": ALERT,
                "fires_within": "20m",
                "resolves_within": "1m",
                "also": ["database_connection_failures", "high_error_rate"],
            },
        },
    )
    reports, log = work / "reports", work / "run.log"
    argv = [GAMEDAY, "run", str(scenario), "--yes", "--environment", place.reference]
    with background(argv, log, env=surroundings(GAMEDAY_REPORTS=str(reports))) as process:
        _wait_for_detect(reports, process.poll, log)
        try:
            yield psutil.Process(process.pid)
        finally:
            timed([GAMEDAY, "stop", "--environment", place.reference])
            finished(process, log, 60.0)


def _wait_for_detect(reports: Path, ended: Any, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and ended() is None:
        for timeline in reports.glob("*/timeline.jsonl"):
            found = events(timeline.parent)
            if any(event["event"] == "phase.started" and event["phase"] == "detect" for event in found):
                time.sleep(2.0)  # what the injection cost is not what observing costs
                return
        time.sleep(0.1)
    raise BenchError(
        f"the drill did not come to its detect phase:\n{log.read_text(errors='replace')[-1500:]}"
    )


# --- what it costs ------------------------------------------------------------------------------------------


def _all(runner: psutil.Process) -> list[psutil.Process]:
    found = [runner, *runner.children(recursive=True)]
    if len(found) != 3:
        raise BenchError(
            f"a drill that waits is runner, engine and dead-man switch; found {len(found)} processes"
        )
    return found


def _used(runner: psutil.Process) -> float:
    """Processor time of all three, in percent of one core."""
    processes = _all(runner)
    began, before = time.monotonic(), _cpu_s(processes)
    time.sleep(WINDOW_S)
    return 100 * (_cpu_s(processes) - before) / (time.monotonic() - began)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def _loop(url: str) -> float:
    return float(timed([PYTHON, "-c", LOOP, url, str(WINDOW_S)]).output)


def _memory(runner: psutil.Process) -> Memory:
    processes = _all(runner)
    return Memory(
        _field_mb(runner.pid, "status", "VmHWM"),
        sum(_field_mb(p.pid, "smaps_rollup", "Pss") for p in processes),
    )


def _idle(work: Path) -> Memory:
    """The same of an interpreter that only sleeps."""
    with background([PYTHON, "-c", IDLE], work / "idle.log") as process:
        time.sleep(1.0)
        return Memory(
            _field_mb(process.pid, "status", "VmHWM"), _field_mb(process.pid, "smaps_rollup", "Pss")
        )


def _field_mb(pid: int, file: str, name: str) -> float:
    for line in Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"/proc/{pid}/{file} has no {name}")
