"""One target's metrics page, scrape after scrape.

A page changes its numbers each second and its series hardly ever. prombed parses every series identity once;
afterwards its text is looked up, and a scrape costs little more than splitting lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prombed import PrombedError, label_key, parse_exposition

from gameday.errors import DetectorError

# A value that no metric has by chance: proves that the text before it is the whole identity of the series.
_PROOF = 8675309.0


# Written for each scrape: whether it succeeded, how long it took, how many samples it brought.
REPORT = ("up", "scrape_duration_seconds", "scrape_samples_scraped")

ReportRow = tuple[str, dict[str, str], float, int]


class BadExpositionError(DetectorError):
    """The target's answer is no Prometheus text format: the scrape failed, which is `up` 0."""


class ScrapedSample(NamedTuple):
    """One sample: all its labels (with `__name__` and the target's), value, own timestamp if it has one."""

    key: str
    labels: dict[str, str]
    value: float
    at_ms: int | None


class ExpositionReader:
    """Parses the pages of one target and remembers which series the last good one had."""

    def __init__(self, target_labels: Mapping[str, str]) -> None:
        self._target_labels = dict(target_labels)
        self._known: dict[str, tuple[str, dict[str, str]]] = {}
        self._series: set[str] = set()
        self._report_series = [
            (label_key(labels), labels)
            for labels in (dict(sorted({"__name__": name, **target_labels}.items())) for name in REPORT)
        ]

    def read(self, text: str) -> list[ScrapedSample]:
        """The samples of one page; of a series that stands twice, the first, as in Prometheus.

        Raises:
            BadExpositionError: with the parser's message and the line.
        """
        samples: dict[str, ScrapedSample] = {}
        seen: dict[str, tuple[str, dict[str, str]]] = {}
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.strip()
            if not line or line[0] == "#":
                continue
            identity, rest = _split(line)
            known = self._known.get(identity) or seen.get(identity)
            value = _plain_number(rest) if known else None
            if known is None or value is None:
                sample, cacheable = self._parse(line, identity, number)
                known = (sample.key, sample.labels) if cacheable else None
            else:
                sample = ScrapedSample(known[0], known[1], value, None)
            if known is not None:
                seen[identity] = known
            samples.setdefault(sample.key, sample)
        self._known = seen  # exactly the last page's series: bounded whatever the target does
        return list(samples.values())

    def vanished(self, scrape: list[ScrapedSample]) -> list[str]:
        """Keys of the series that the last remembered scrape had and this one lacks: now they are stale."""
        present = {sample.key for sample in scrape}
        return [key for key in self._series if key not in present]

    def remember(self, scrape: list[ScrapedSample]) -> None:
        """Note the series of this scrape for the next `vanished`.

        Samples that bring their own timestamp take no part in staleness, as in Prometheus
        (`track_timestamps_staleness` is off by default).
        """
        self._series = {sample.key for sample in scrape if sample.at_ms is None}

    def report(self, up: float, duration_s: float, samples: int, at_ms: int) -> list[ReportRow]:
        """The series that Prometheus itself writes for each scrape (`report` in scrape/scrape.go)."""
        values = (up, duration_s, float(samples))
        return [
            (key, labels, value, at_ms)
            for (key, labels), value in zip(self._report_series, values, strict=True)
        ]

    def _parse(self, line: str, identity: str, number: int) -> tuple[ScrapedSample, bool]:
        try:
            (parsed,) = parse_exposition(line).samples
        except PrombedError as error:
            message = str(error).replace("at line 1", f"at line {number}")
            raise BadExpositionError(message) from error
        labels = self._merge(parsed.name, parsed.labels)
        sample = ScrapedSample(label_key(labels), labels, parsed.value, parsed.timestamp)
        return sample, _proves(identity)

    def _merge(self, name: str, labels: Mapping[str, str]) -> dict[str, str]:
        """The target's labels win; the page's own becomes `exported_…` (`honor_labels` is off)."""
        merged: dict[str, str] = {}
        for label, value in labels.items():
            if not value:
                continue  # an empty label is an absent one
            exported = label
            while exported in self._target_labels or (exported != label and exported in labels):
                exported = f"exported_{exported}"
            merged[exported] = value
        merged |= self._target_labels
        merged["__name__"] = name
        return dict(sorted(merged.items()))


def _split(line: str) -> tuple[str, str]:
    end = line.rfind("}") + 1
    if not end:
        identity, _, rest = line.partition(" ")
        return identity, rest
    return line[:end], line[end:]


def _plain_number(text: str) -> float | None:
    """The value if nothing but a plain number follows the series; None sends the line to the real parser."""
    try:
        value = float(text)
    except ValueError:
        return None
    # Python reads more than the format allows: "1_000", "infinity", "nan"
    return value if not text.strip().strip("+-0123456789.eE") else None


def _proves(identity: str) -> bool:
    """Whether `identity` is the whole series and nothing more (an exemplar also ends in a brace)."""
    try:
        samples = parse_exposition(f"{identity} {_PROOF:.0f}").samples
    except PrombedError:
        return False
    return len(samples) == 1 and samples[0].value == _PROOF
