"""`python -m bench [NAME...]`: takes the measurements, prints the table, writes `reports/bench.json`."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import ROOT, BenchError

if TYPE_CHECKING:
    from bench.result import Result

MEASUREMENTS = {
    "help": "`gameday --help` against `chaos --help`",
    "engine": "a drill on instant fakes against `chaos run` of the same experiment",
    "validate": "1,000 scenario files against a bare YAML loader",
    "drill": "`database-down` at speed 10 against the waiting that its rules demand",
    "accuracy": "instants of a drill against an independent observer that samples every 5 ms",
    "observer_cost": "processor and memory of a runner that observes, against a bare loop",
    "containers": "a container's death against `docker kill`; a partition until it is in force",
    "cluster": "the death of a deployment's pods against `kubectl delete pod -l`",
    "detection": "time to detect by Prometheus against an observer that asks its API every 10 ms",
    "proxy": "the fault proxy against a direct connection: delay and throughput",
    "history": "the page and the list of a history of 1 k, 10 k and 100 k drills, against `gameday --help`",
}


WIDTH = 140
"""Of the table where there is no terminal to ask."""


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if options.list:
        for name, what in MEASUREMENTS.items():
            print(f"{name:<14} {what}")
        return 0
    # a finally must run when somebody ends us: environments are brought down there
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from rich.console import Console

    from bench import report
    from bench.result import bars_missed

    before, results, missing = report.surroundings(), [], {}
    with tempfile.TemporaryDirectory(prefix="gameday-bench-") as folder:
        for name in options.names or MEASUREMENTS:
            try:
                results += _take(name, Path(folder) / name)
            except BenchError as error:
                missing[name] = str(error)
                print(f"{name}: not measured: {error}", file=sys.stderr)
    report.write(options.output, results, before, missing)
    report.show(results, Console(width=None if sys.stdout.isatty() else WIDTH))
    print(f"wrote {options.output}")
    missed = bars_missed(results)
    if missed:
        print(f"bar not met: {', '.join(missed)}")
    return 1 if options.strict and (missed or missing) else 0


def _take(name: str, work: Path) -> list[Result]:
    print(f"{name}: {MEASUREMENTS[name]} ...", file=sys.stderr, flush=True)
    work.mkdir()
    began = time.monotonic()
    results: list[Result] = importlib.import_module(f"bench.{name}").measure(work)
    print(f"{name}: took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="measurements to take; all by default")
    parser.add_argument("--list", action="store_true", help="name the measurements and exit")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bar is not met")
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "bench.json")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
