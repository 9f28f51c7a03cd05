"""How PostgreSQL executes a statement, once it has been prepared as psycopg prepares it."""

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
_SETTLES_AFTER = 6
"""Executions after which PostgreSQL keeps to the general plan, unless that would cost more."""

_SENT_AS: Mapping[type[Any], str] = {Interval: "interval", Boolean: "boolean"}
"""Types that psycopg tells, where PostgreSQL would infer others."""
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
    """What holds of every row that is found, in SQL: `(sessions.user_id = $1)`."""
    whole: bool
    """Every row is looked at: there is neither a condition on an index nor a limit."""

    def equals(self, column: str) -> list[str]:
        """What a column must be equal to: parameters (`$1`) and other tables' columns."""
        equality = re.compile(rf"{self.alias}\.{column} = \(?(\$\d+|\w+\.\w+)(\)::\w+)?")
        conditions = (part for condition in self.conditions for part in _conjuncts(condition))
        return [found[1] for part in conditions if (found := equality.fullmatch(part))]


class Planner:
    """Plans statements against a database that has rows and statistics."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def general(self, statement: Statement[Any]) -> list[Scan]:
        """The scans of the plan that serves all parameters, which it shows as `$1`."""
        return self._explain(statement, "force_generic_plan", 1)

    def settled(self, statement: Statement[Any]) -> list[Scan]:
        """The scans of the plan that PostgreSQL keeps to on a connection that lives long."""
        return self._explain(statement, "auto", _SETTLES_AFTER)

    def _explain(self, statement: Statement[Any], mode: str, times: int) -> list[Scan]:
        names = [*dict.fromkeys(_PARAMETER.findall(statement.sql))]
        text = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", statement.sql).replace("%%", "%")
        self._ask("SELECT set_config('plan_cache_mode', %s, false)", mode)
        self._connection.execute(f"PREPARE examined {_sent_as(statement, names)} AS {text}".encode())
        try:
            values = sql.SQL(", ").join(map(sql.Literal, self._values(statement, names)))
            execute = sql.SQL("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE examined {}").format(
                sql.SQL("({})").format(values) if names else sql.SQL("")
            )
            for _ in range(times):
                [plan] = self._ask(execute)
        finally:
            self._connection.execute("DEALLOCATE examined")
        return [*_scans(plan["Plan"], limited=False)]

    def _values(self, statement: Statement[Any], names: list[str]) -> list[Any]:
        """A value for each parameter: the statement's own, or one of the type that it has."""
        types = self._ask(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'examined'"
        )
        made = {name: _BY_NAME.get(name, _value(kind)) for name, kind in zip(names, types, strict=True)}
        own = statement.parameters({})
        return [own.get(name, made[name]) for name in names]

    def _ask(self, query: Any, *values: str) -> list[Any]:
        """The first column of the first row, which is a list."""
        [[answer]] = self._connection.execute(query, values or None).fetchall()
        return [answer] if isinstance(answer, str) else [*answer]


def _sent_as(statement: Statement[Any], names: list[str]) -> str:
    kinds = [statement.parameter_types[name] for name in names]
    return f"({', '.join(_SENT_AS.get(kind, 'unknown') for kind in kinds)})" if names else ""


def _value(kind: str) -> Any:
    element = kind.removesuffix("[]")
    return _VALUES[element] if element == kind else [_VALUES[element]] * 2


def _scans(node: Mapping[str, Any], *, limited: bool) -> Iterator[Scan]:
    children = node.get("Plans", [])
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        # A bitmap is made by the nodes below the one that names the table.
        places = [node, *(child for child in children if child["Node Type"].startswith("Bitmap"))]
        by_index = any("Index Cond" in place for place in places) or node["Node Type"] == "Bitmap Heap Scan"
        conditions = tuple(text for place in places for key, text in place.items() if key in _CONDITIONS)
        whole = not by_index and (node["Node Type"] == "Seq Scan" or not limited)
        yield Scan(node["Relation Name"], node["Alias"], conditions, whole)
    for child in children:
        yield from _scans(child, limited=limited or node["Node Type"] == "Limit")


_CONDITIONS = ("Index Cond", "Recheck Cond", "Filter")


def _conjuncts(condition: str) -> list[str]:
    """The parts of a condition that all must hold, without the parentheses around them."""
    whole = condition.removeprefix("(").removesuffix(")")
    parts, depth, begin = [], 0, 0
    for found in re.finditer(r"[()]| AND ", whole):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 and found[0] == " AND ":
            parts.append(whole[begin : found.start()])
            begin = found.end()
    return [part[1:-1] for part in (*parts, whole[begin:])] if parts else [whole]
