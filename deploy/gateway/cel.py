"""Conditions in CEL, as the parsed expressions that Envoy's RBAC filter takes.

Envoy reads no source text here, so a condition is built from these few forms. A missing key
makes an expression an error, and RBAC takes an error for false: what is absent is denied.
"""

from typing import Any, TypeAlias

Expression: TypeAlias = dict[str, Any]

_FIELDS = "envoy.filters.http.grpc_field_extraction"
_CLAIMS = "envoy.filters.http.jwt_authn"


def request_field(name: str) -> Expression:
    """A field of the request's first message. Extracted values are lists, even of singular fields."""
    return _index(_index(_metadata(_FIELDS), text(name)), {"const_expr": {"int64_value": 0}})


def claim(name: str) -> Expression:
    """A claim of the verified token."""
    return _index(_index(_metadata(_CLAIMS), text("payload")), text(name))


def has_claim(name: str) -> Expression:
    """Whether the verified token has a claim."""
    payload = _index(_metadata(_CLAIMS), text("payload"))
    return {"select_expr": {"operand": payload, "field": name, "test_only": True}}


def entry(mapping: Expression, key: Expression) -> Expression:
    """The value of a key in a map."""
    return _index(mapping, key)


def text(value: str) -> Expression:
    """A constant."""
    return {"const_expr": {"string_value": value}}


def equals(left: Expression, right: Expression) -> Expression:
    return _call("_==_", left, right)


def differs(left: Expression, right: Expression) -> Expression:
    return _call("_!=_", left, right)


def one_of(value: Expression, choices: list[str]) -> Expression:
    """Whether a value is among constants."""
    return _call("@in", value, {"list_expr": {"elements": [text(choice) for choice in choices]}})


def negation(operand: Expression) -> Expression:
    return _call("!_", operand)


def every(conditions: list[Expression]) -> Expression:
    """The conjunction of at least one condition."""
    return _fold("_&&_", conditions)


def some(conditions: list[Expression]) -> Expression:
    """The disjunction of at least one condition; true even where another is an error."""
    return _fold("_||_", conditions)


def _fold(operator: str, conditions: list[Expression]) -> Expression:
    first, *rest = conditions
    for condition in rest:
        first = _call(operator, first, condition)
    return first


def _metadata(namespace: str) -> Expression:
    everything = {
        "select_expr": {"operand": {"ident_expr": {"name": "metadata"}}, "field": "filter_metadata"}
    }
    return _index(everything, text(namespace))


def _index(operand: Expression, key: Expression) -> Expression:
    return _call("_[_]", operand, key)


def _call(function: str, *arguments: Expression) -> Expression:
    return {"call_expr": {"function": function, "args": list(arguments)}}
