"""Reads the plan that PostgreSQL chooses for a statement that psycopg has prepared."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Boolean, Interval

from chassis.database import Statement

_PARAMETER = re.compile(r"%\((\w+)\)s")
_CONDITIONS = ("Index Cond", "Recheck Cond", "Filter")
_CUSTOM_PLANS = 5
"""PostgreSQL plans the first five executions for their parameters.

After that it uses the generic plan, unless that plan costs more.
"""

_EXPLICIT_TYPES: Mapping[type[Any], str] = {Interval: "interval", Boolean: "boolean"}
"""The parameter types that psycopg sends, because PostgreSQL would infer other types."""
_VALUES = {
    "uuid": "00000000-0000-0000-0000-000000000007",
    "smallint": "1",
    "integer": "10",
    "bigint": "10",
    "double precision": "0.5",
    "boolean": "true",
    "text": "text",
    "character varying": "text",
    "bytea": "\\x00",
    "jsonb": "{}",
    "timestamp with time zone": "now",
    "interval": "2 days",
    "date": "2026-01-01",
}
_BY_NAME = {"vector": "[1,0,1,0]"}


@dataclass(frozen=True)
class Scan:
    """How a plan reads one table."""

    table: str
    alias: str
    conditions: tuple[str, ...]
    """Conditions on the rows, in SQL: `(sessions.user_id = $1)`."""
    full: bool
    """Whether the scan reads every row: it has neither an index condition nor a limit."""

    def equal_values(self, column: str) -> list[str]:
        """Returns the values that a column must equal: parameters (`$1`) and columns of other tables."""
        equality = re.compile(rf"{self.alias}\.{column} = \(?(\$\d+|\w+\.\w+)(\)::\w+)?")
        conditions = (part for condition in self.conditions for part in _conjuncts(condition))
        return [found[1] for part in conditions if (found := equality.fullmatch(part))]


class Planner:
    """Plans statements against a database that has rows and statistics."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def generic_scans(self, statement: Statement[Any]) -> list[Scan]:
        """Returns the scans of the generic plan, in which parameters appear as `$1`."""
        return self._explain(statement, "force_generic_plan", 1)

    def chosen_scans(self, statement: Statement[Any]) -> list[Scan]:
        """Returns the scans of the plan that PostgreSQL finally chooses on a long-lived connection."""
        return self._explain(statement, "auto", _CUSTOM_PLANS + 1)

    def _explain(self, statement: Statement[Any], mode: str, times: int) -> list[Scan]:
        names = [*dict.fromkeys(_PARAMETER.findall(statement.sql))]
        text = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement.sql).replace("%%", "%")
        self._query("SELECT set_config('plan_cache_mode', %s, false)", mode)
        self._connection.execute(f"PREPARE tested {_parameter_types(statement, names)} AS {text}".encode())
        try:
            values = sql.SQL(", ").join(map(sql.Literal, self._values(statement, names)))
            execute = sql.SQL("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE tested {}").format(
                sql.SQL("({})").format(values) if names else sql.SQL("")
            )
            for _ in range(times):
                [plan] = self._query(execute)
        finally:
            self._connection.execute("DEALLOCATE tested")
        return [*_scans(plan["Plan"], limited=False)]

    def _values(self, statement: Statement[Any], names: list[str]) -> list[Any]:
        """Returns a value for each parameter: the value in the statement, or else a sample of its type."""
        types = self._query(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'tested'"
        )
        samples = {name: _BY_NAME.get(name, _sample(kind)) for name, kind in zip(names, types, strict=True)}
        own = statement.parameters({})
        return [own.get(name, samples[name]) for name in names]

    def _query(self, query: Any, *values: str) -> list[Any]:
        """Returns the first column of the only row as a list."""
        [[answer]] = self._connection.execute(query, values or None).fetchall()
        return [answer] if isinstance(answer, str) else [*answer]


def _parameter_types(statement: Statement[Any], names: list[str]) -> str:
    kinds = [statement.parameter_types[name] for name in names]
    return f"({', '.join(_EXPLICIT_TYPES.get(kind, 'unknown') for kind in kinds)})" if names else ""


def _sample(kind: str) -> Any:
    element = kind.removesuffix("[]")
    return _VALUES[element] if element == kind else [_VALUES[element]] * 2


def _scans(node: Mapping[str, Any], *, limited: bool) -> Iterator[Scan]:
    children = node.get("Plans", [])
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        # Nodes below the one that names the table create a bitmap.
        nodes = [node, *(child for child in children if child["Node Type"].startswith("Bitmap"))]
        by_index = any("Index Cond" in each for each in nodes) or node["Node Type"] == "Bitmap Heap Scan"
        conditions = tuple(text for each in nodes for key, text in each.items() if key in _CONDITIONS)
        full = not by_index and (node["Node Type"] == "Seq Scan" or not limited)
        yield Scan(node["Relation Name"], node["Alias"], conditions, full)
    for child in children:
        yield from _scans(child, limited=limited or node["Node Type"] == "Limit")


def _conjuncts(condition: str) -> list[str]:
    """Splits a condition at its outermost ANDs and removes the parentheses around the parts."""
    whole = condition.removeprefix("(").removesuffix(")")
    parts, depth, begin = [], 0, 0
    for found in re.finditer(r"[()]| AND ", whole):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 and found[0] == " AND ":
            parts.append(whole[begin : found.start()])
            begin = found.end()
    return [part[1:-1] for part in (*parts, whole[begin:])] if parts else [whole]
