"""The narrow adapter around PromQL: `promql-parser` reads and checks, `prombed` evaluates.

An expression is parsed once by the parser that follows Prometheus' own grammar, and its tree is translated,
node by node, into the tree that prombed evaluates. So nothing is ever re-parsed at evaluation, range windows
are divided by the speed on the tree (a string literal that looks like a window is never touched), and
whatever prombed lacks is refused by name when the rules are loaded, not when the alert was needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gameday.errors import DetectorError, UsageError

if TYPE_CHECKING:
    from gameday.detectors.exposition import ExpositionReader

FUNCTIONS = frozenset({"rate", "increase", "histogram_quantile"})
AGGREGATIONS = frozenset({"sum", "avg", "min", "max", "count"})
OPERATORS = frozenset({"+", "-", "*", "/", "%", "==", "!=", ">", "<", ">=", "<="})

Labels = Mapping[str, str]


class UnsupportedError(UsageError):
    """Correct PromQL that the embedded evaluator cannot evaluate; `what` names the construct."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"uses {what}, which the embedded detector cannot evaluate; use detector kind prometheus"
        )


@dataclass(frozen=True, slots=True)
class Expression:
    """One PromQL expression, ready to evaluate. Windows: seconds, divided by the speed; 0 if none."""

    text: str
    tree: Any
    window_s: float
    shortest_window_s: float

    @classmethod
    def parse(cls, text: str, *, speed: float = 1.0) -> Expression:
        """Parse, check and translate.

        Raises:
            UsageError: no PromQL, or of a type that no alert can have; the message is the parser's.
            UnsupportedError: correct, but beyond the embedded evaluator.
        """
        import promql_parser

        try:
            node = promql_parser.parse(text)
        except ValueError as error:
            raise UsageError(f"is not valid PromQL: {error}") from error
        translator = _Translator(speed)
        tree = translator.translate(node)
        if getattr(tree, "range_ms", None) is not None:
            raise UsageError("is a range vector; an alert needs an instant vector, such as rate(…[5m]) > 0")
        windows = [milliseconds / 1000 for milliseconds in translator.windows_ms]
        return cls(text, tree, max(windows, default=0.0), min(windows, default=0.0))


class _Translator:
    """From promql-parser's tree to prombed's: a method for each kind of node; other kinds are refused."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.windows_ms: list[int] = []
        self._methods: dict[str, Callable[[Any], Any]] = {
            "NumberLiteral": self._number,
            "ParenExpr": lambda node: self.translate(node.expr),
            "UnaryExpr": self._unary,
            "BinaryExpr": self._binary,
            "AggregateExpr": self._aggregation,
            "Call": self._call,
            "VectorSelector": self._vector,
            "MatrixSelector": self._matrix,
        }

    def translate(self, node: Any) -> Any:
        kind = type(node).__name__
        if kind == "SubqueryExpr":
            raise UnsupportedError("a subquery")
        method = self._methods.get(kind)
        if method is None:
            raise UnsupportedError("a string" if kind == "StringLiteral" else f"`{node}`")
        return method(node)

    def _number(self, node: Any) -> Any:
        from prombed.promql.parser import NumberExpression

        return NumberExpression(node.val)

    def _unary(self, node: Any) -> Any:
        from prombed.promql.parser import UnaryExpression

        # promql-parser drops a unary plus, so what remains negates
        return UnaryExpression("-", self.translate(node.expr))

    def _binary(self, node: Any) -> Any:
        from prombed.promql.parser import BinaryExpression

        operator = str(node.op)
        if operator not in OPERATORS:
            raise UnsupportedError(f"`{operator}`")
        if node.modifier is not None:
            _check_modifier(node.modifier)
        left, right = self.translate(node.lhs), self.translate(node.rhs)
        return BinaryExpression(operator, left, right)

    def _aggregation(self, node: Any) -> Any:
        from prombed.promql.parser import AggregationExpression

        operator = str(node.op)
        if operator not in AGGREGATIONS:
            raise UnsupportedError(f"`{operator}()`")
        labels: tuple[str, ...] = ()
        without = False
        if node.modifier is not None:
            labels = tuple(node.modifier.labels)
            without = str(node.modifier).startswith("without")
        return AggregationExpression(operator, self.translate(node.expr), labels, without)

    def _call(self, node: Any) -> Any:
        from prombed.promql.parser import CallExpression

        if node.func.name not in FUNCTIONS:
            raise UnsupportedError(f"`{node.func.name}()`")
        arguments = tuple(self.translate(argument) for argument in node.args)
        if node.func.name == "histogram_quantile" and not _is_number(arguments[0]):
            raise UnsupportedError("a computed quantile in `histogram_quantile()`")
        return CallExpression(node.func.name, arguments)

    def _vector(self, node: Any) -> Any:
        from prombed import LabelMatcher
        from prombed.promql.parser import SelectorExpression

        if node.offset is not None:
            raise UnsupportedError("`offset`")
        if node.at is not None:
            raise UnsupportedError("`@`")
        if node.matchers.or_matchers:
            raise UnsupportedError("`or` between label matchers")
        matchers = [] if node.name is None else [LabelMatcher("__name__", "=", node.name)]
        matchers += [_matcher(matcher) for matcher in node.matchers.matchers]
        return SelectorExpression(node.name, tuple(matchers))

    def _matrix(self, node: Any) -> Any:
        from dataclasses import replace

        window_ms = round(node.range / timedelta(milliseconds=1) / self.speed)
        if window_ms < 1:
            raise UsageError(
                f"the window [{node.range}] divided by speed {self.speed:g} is shorter than 1 ms"
            )
        self.windows_ms.append(window_ms)
        return replace(self._vector(node.vector_selector), range_ms=window_ms)


def _is_number(tree: Any) -> bool:
    from prombed.promql.parser import NumberExpression, UnaryExpression

    return isinstance(tree, NumberExpression) or (
        isinstance(tree, UnaryExpression) and _is_number(tree.expression)
    )


def _check_modifier(modifier: Any) -> None:
    if modifier.return_bool:
        raise UnsupportedError("`bool`")
    if modifier.matching is not None:
        raise UnsupportedError(f"`{str(modifier.matching).split(' ', maxsplit=1)[0]}`")
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise UnsupportedError("`fill`")
    if str(modifier.card) not in ("VectorMatchCardinality.OneToOne", "OneToOne"):
        raise UnsupportedError("`group_left` or `group_right`")


def _matcher(matcher: Any) -> Any:
    """One label matcher. Regular expressions pass prombed's own check, which refuses what RE2 lacks."""
    from prombed import PrombedError, parse_promql

    operator = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[
        str(matcher.op).rsplit(".", maxsplit=1)[-1]
    ]
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    try:
        # a metric name in front, as a selector of matchers that all match the empty string is no selector
        tree = parse_promql(f'x{{{matcher.name}{operator}"{value}"}}')
    except PrombedError as error:
        raise UnsupportedError(f"the label matcher `{matcher}` ({error})") from error
    return tree.matchers[1]


class Evaluator:
    """Samples of a bounded time, and the values that expressions have on them.

    All times are Unix milliseconds and must not decrease from call to call. Targets are identified by their
    labels, of which `job` and `instance` are required.
    """

    def __init__(self, *, longest_window_s: float, interval_s: float) -> None:
        from gameday.detectors.engine import Engine
        from gameday.detectors.store import Store

        retention_s = longest_window_s + max(5.0, 4 * interval_s)
        self._storage = Store(round(retention_s * 1000))
        self._engine = Engine(self._storage)
        self._readers: dict[tuple[tuple[str, str], ...], ExpositionReader] = {}

    @property
    def series_count(self) -> int:
        return self._storage.series_count

    @property
    def sample_count(self) -> int:
        return self._storage.sample_count

    def ingest(self, text: str, labels: Labels, at_ms: int, *, duration_s: float = 0.0) -> None:
        """Take in one scrape: its samples, staleness markers for series that vanished, and `up` 1.

        Raises:
            BadExpositionError: the text is no exposition; nothing was taken in: call `ingest_failed`.
            DetectorError: more series than the store holds.
        """
        reader = self._reader(labels)
        scrape = reader.read(text)
        rows = [
            (key, series, value, at_ms if own_ms is None else own_ms) for key, series, value, own_ms in scrape
        ]
        self._storage.append([*rows, *reader.report(1.0, duration_s, len(rows), at_ms)])
        self._storage.mark_stale(reader.vanished(scrape), at_ms)
        self._storage.prune(at_ms)
        reader.remember(scrape)

    def ingest_failed(self, labels: Labels, at_ms: int, *, duration_s: float = 0.0) -> None:
        """A scrape failed: `up` is 0 and all of the target's series are stale, as in Prometheus."""
        reader = self._reader(labels)
        self._storage.append(reader.report(0.0, duration_s, 0, at_ms))
        self._storage.mark_stale(reader.vanished([]), at_ms)
        self._storage.prune(at_ms)
        reader.remember([])

    def evaluate(self, expression: Expression, at_ms: int) -> list[tuple[dict[str, str], float]]:
        """The series that the expression returns at one time, with labels (including `__name__`) and value.

        Raises:
            DetectorError: the expression cannot be evaluated on these samples (many-to-many matching, say).
        """
        from prombed import PrombedError

        try:
            return self._engine.values(expression.tree, at_ms)
        except PrombedError as error:
            raise DetectorError(f"`{expression.text}` cannot be evaluated: {error}") from error

    def _reader(self, labels: Labels) -> ExpositionReader:
        from gameday.detectors.exposition import ExpositionReader

        key = tuple(sorted(labels.items()))
        if key not in self._readers:
            self._readers[key] = ExpositionReader(labels)
        return self._readers[key]
