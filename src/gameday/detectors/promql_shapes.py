"""The structure of a PromQL expression, as far as the advice on alert rules has to know it.

The embedded evaluator's tree (`promql.py`) holds only what that evaluator can evaluate. Advice is also for
rules of a real Prometheus, so here all of PromQL is read, and what no check looks into (a subquery, say) stays
a node of its own: a check that does not know a shape says nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from gameday.errors import UsageError

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_MATCHING = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
MAX_GROUPS = 64

Matcher: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by name and matchers. `window_s` is 0 for an instant vector, `shift` holds offset and `@`."""

    name: str | None
    matchers: frozenset[Matcher] = frozenset()
    window_s: float = 0.0
    shift: str = ""

    def __str__(self) -> str:
        inside = ",".join(f'{label}{op}"{value}"' for label, op, value in sorted(self.matchers))
        return (self.name or "") + (f"{{{inside}}}" if inside else "")


@dataclass(frozen=True, slots=True)
class Number:
    """A number; arithmetic on numbers alone is already done."""

    value: float


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`sum by (labels)`; with `without`, all labels but these are kept. No labels and not `without`: none."""

    operator: str
    expression: Node
    labels: frozenset[str] = frozenset()
    without: bool = False

    def keeps(self, label: str) -> bool:
        """True when series that differ in this label stay apart."""
        return (label in self.labels) != self.without


@dataclass(frozen=True, slots=True)
class Binary:
    """An operation on two sides. `plain`: without `bool`, on(), ignoring() and group_left()."""

    operator: str
    left: Node
    right: Node
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Opaque:
    """What no check looks into: a subquery or a string."""

    text: str
    children: tuple[Node, ...] = ()


Node: TypeAlias = Selector | Number | Call | Aggregate | Binary | Opaque


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison that decides whether the alert is on: `subject operator threshold`.

    Constant factors and summands are moved to the threshold's side: `rate(x[5m]) * 100 > 80` is
    `rate(x[5m]) > 0.8`. `threshold` is None where the other side is no number; `subject` is then the left side.
    """

    subject: Node
    operator: str
    threshold: float | None


Groups: TypeAlias = tuple[tuple[Condition, ...], ...]


def parse_shape(text: str) -> Node:
    """The structure of an expression.

    Raises:
        UsageError: no PromQL; the message is the parser's.
    """
    import promql_parser

    try:
        return _shape(promql_parser.parse(text))
    except ValueError as error:
        raise UsageError(f"is not valid PromQL: {error}") from error
    except RecursionError as error:
        raise UsageError("is nested too deeply to be read") from error


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, also those within subqueries."""
    yield node
    for child in _children(node):
        yield from walk(child)


def selectors(node: Node) -> Iterator[Selector]:
    """All selectors of an expression, left to right, but not those within subqueries."""
    if isinstance(node, Selector):
        yield node
    elif not isinstance(node, Opaque):
        for child in _children(node):
            yield from selectors(child)


def conditions(node: Node) -> Groups:
    """The conditions of an alert: the alert is on where all conditions of one of the groups hold.

    `and` joins, `or` makes groups, and `unless` and comparisons inside of aggregations and functions are not
    looked into. Nothing at all for an expression with more than 64 groups.
    """
    if not isinstance(node, Binary):
        return ()
    if node.operator == "or":
        groups = conditions(node.left) + conditions(node.right)
    elif node.operator == "and":
        left, right = conditions(node.left) or ((),), conditions(node.right) or ((),)
        groups = tuple(a + b for a in left for b in right if a or b)
    elif node.operator == "unless":
        groups = conditions(node.left)
    elif node.operator in _FLIPPED:
        groups = ((_condition(node),),)
    else:
        groups = ()
    return groups if len(groups) <= MAX_GROUPS else ()


def chain(node: Node) -> Selector | None:
    """The only selector below functions of one vector and aggregations without labels; None elsewhere."""
    while not isinstance(node, Selector):
        if isinstance(node, Call) and len(node.arguments) == 1:
            node = node.arguments[0]
        elif isinstance(node, Aggregate) and not node.labels and not node.without:
            node = node.expression
        else:
            return None
    return node


def _condition(node: Binary) -> Condition:
    left, right, operator = node.left, node.right, node.operator
    if isinstance(left, Number):
        left, right, operator = right, left, _FLIPPED[operator]
    if not isinstance(right, Number) or not node.plain:
        return Condition(left, operator, None)
    threshold = right.value
    while isinstance(left, Binary) and left.operator in "+-*/":
        moved = _moved(left, operator, threshold)
        if moved is None:
            break
        left, operator, threshold = moved
    return Condition(left, operator, threshold)


def _moved(node: Binary, operator: str, threshold: float) -> tuple[Node, str, float] | None:
    """One constant moved over to the threshold; None where there is none, or where it is not finite."""
    if isinstance(node.right, Number):
        inner, number = node.left, node.right.value
        moves = {"+": threshold - number, "-": threshold + number}
        factor = number if node.operator == "*" else 1 / number if number else 0.0
    elif isinstance(node.left, Number) and node.operator != "/":
        inner, number = node.right, node.left.value
        moves = {"+": threshold - number, "-": number - threshold}
        factor = number
        if node.operator == "-":
            operator = _FLIPPED[operator]
    else:
        return None
    if node.operator in moves:
        result = moves[node.operator]
    elif factor and math.isfinite(factor):
        result = threshold / factor
        operator = operator if factor > 0 else _FLIPPED[operator]
    else:
        return None
    # 1 - 0.05 is 0.95, and 80 / 100 is 0.8: what binary fractions add is not for readers
    return (inner, operator, float(f"{result:.12g}")) if math.isfinite(result) else None


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Aggregate):
        return (node.expression,)
    if isinstance(node, Call):
        return node.arguments
    return node.children if isinstance(node, Opaque) else ()


def _shape(node: Any) -> Node:
    kind = type(node).__name__
    if kind == "NumberLiteral":
        return Number(node.val)
    if kind == "ParenExpr":
        return _shape(node.expr)
    if kind == "UnaryExpr":
        return _folded(Binary("*", Number(-1.0), _shape(node.expr)))
    if kind == "BinaryExpr":
        return _folded(Binary(str(node.op), _shape(node.lhs), _shape(node.rhs), _is_plain(node.modifier)))
    if kind == "AggregateExpr":
        labels = frozenset(node.modifier.labels) if node.modifier else frozenset()
        without = node.modifier is not None and str(node.modifier.type).endswith("Without")
        return Aggregate(str(node.op), _shape(node.expr), labels, without)
    if kind == "Call":
        return Call(node.func.name, tuple(_shape(argument) for argument in node.args))
    if kind == "VectorSelector":
        return _selector(node, 0.0)
    if kind == "MatrixSelector":
        return _selector(node.vector_selector, node.range.total_seconds())
    return Opaque(str(node), (_shape(node.expr),) if kind == "SubqueryExpr" else ())


def _is_plain(modifier: Any) -> bool:
    """True without `bool`, on(), ignoring(), group_left() and group_right()."""
    if modifier is None:
        return True
    one_to_one = str(modifier.card).endswith("OneToOne")
    return one_to_one and modifier.matching is None and not modifier.return_bool


def _selector(node: Any, window_s: float) -> Selector:
    matchers = {
        (matcher.name, _MATCHING[str(matcher.op).rsplit(".", maxsplit=1)[-1]], matcher.value)
        for matcher in node.matchers.matchers
    }
    if node.matchers.or_matchers:
        matchers.add(("__name__", "or", str(node.matchers.or_matchers)))
    names = {value for label, operator, value in matchers if (label, operator) == ("__name__", "=")}
    name = node.name or (names.pop() if len(names) == 1 else None)
    if name is not None:
        matchers -= {("__name__", "=", name)}
    shift = f"{node.offset or ''}{node.at or ''}"
    return Selector(name, frozenset(matchers), window_s, shift)


def _folded(node: Binary) -> Node:
    if not (isinstance(node.left, Number) and isinstance(node.right, Number)):
        return node
    left, right = node.left.value, node.right.value
    try:
        results = {
            "+": left + right,
            "-": left - right,
            "*": left * right,
            "/": left / right if right else None,
        }
    except OverflowError:
        return node
    result = results.get(node.operator)
    return node if result is None else Number(result)
