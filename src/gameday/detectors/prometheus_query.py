"""The answer of Prometheus' query API as samples, or why it is none. Pure; nothing in it is trusted."""

from __future__ import annotations

from typing import Any

from gameday.detectors.base import Sample
from gameday.errors import DetectorError


def read_query_answer(value: Any) -> tuple[Sample, ...]:
    """The instant vector in an answer of `/api/v1/query`; a scalar is one sample without labels.

    Raises:
        DetectorError: another answer; or an empty one with warnings, as parts of a federation that did not answer
            are told: what is missing there may be what is looked for.
    """
    try:
        if value["status"] != "success":
            raise DetectorError(f"status {str(value['status'])[:100]!r}")
        kind, result = value["data"]["resultType"], value["data"]["result"]
        if kind == "scalar":
            return (Sample({}, float(result[1])),)
        if kind != "vector":
            raise DetectorError(f"a result of type {str(kind)[:100]!r}, expected a vector")
        found = tuple(_sample(series) for series in result)
        warnings = [str(warning) for warning in value.get("warnings") or ()]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise DetectorError("not an answer of the query API") from None
    if warnings and not found:
        raise DetectorError(f"an empty answer with a warning: {' '.join(warnings[0].split())[:200]}")
    return found


def _sample(series: Any) -> Sample:
    labels = {str(name): str(text) for name, text in series["metric"].items()}
    if "value" in series:
        return Sample(labels, float(series["value"][1]))
    return Sample(labels, float(series["histogram"][1]["count"]))
