"""Whether the series that an expression reads are there: an empty result alone does not tell.

`sum(rate(errors_total[1m])) > 5` is empty while there are few errors, and just as empty when whoever counted them is
gone. What tells the two apart is another query for each of its selectors.
"""

from __future__ import annotations

from typing import Any


def presence(expr: str) -> dict[str, str]:
    """The selectors of `expr` as Prometheus writes them, each with a query that is empty while it has no series.

    A window has a series when a rate can be known from it. `expr` is valid PromQL.
    """
    import promql_parser

    found: dict[str, str] = {}
    waiting: list[Any] = [promql_parser.parse(expr)]
    while waiting:
        node = waiting.pop(0)
        match type(node).__name__:
            case "VectorSelector":
                found[str(node)] = f"count({node})"
            case "MatrixSelector":
                found[str(node)] = f"count(rate({node}))"
            case "BinaryExpr":
                waiting += [node.lhs, node.rhs]
            case "Call":
                waiting += node.args
            case "AggregateExpr" | "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
                waiting.append(node.expr)
    return found
