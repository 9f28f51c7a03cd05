"""CEL conditions as parsed expressions for the RBAC filter of Envoy.

The filter does not accept CEL source text. A missing key makes an expression an error, which RBAC treats
as false. A missing claim or field is therefore denied.
"""

from typing import Any, TypeAlias

Expression: TypeAlias = dict[str, Any]

_FIELDS = "envoy.filters.http.grpc_field_extraction"
_CLAIMS = "envoy.filters.http.jwt_authn"


def request_field(name: str) -> Expression:
    """Returns a field of the first request message. Envoy extracts even singular fields as lists."""
    return _index(_index(_metadata(_FIELDS), text(name)), {"const_expr": {"int64_value": 0}})


def claim(name: str) -> Expression:
    """Returns a claim of the verified token."""
    return _index(_index(_metadata(_CLAIMS), text("payload")), text(name))


def has_claim(name: str) -> Expression:
    """Returns whether the verified token has a claim."""
    payload = _index(_metadata(_CLAIMS), text("payload"))
    return {"select_expr": {"operand": payload, "field": name, "test_only": True}}


def entry(mapping: Expression, key: Expression) -> Expression:
    """Returns the value of a key in a map."""
    return _index(mapping, key)


def text(value: str) -> Expression:
    """Returns a string constant."""
    return {"const_expr": {"string_value": value}}


def equals(left: Expression, right: Expression) -> Expression:
    """Returns whether two values are equal."""
    return _call("_==_", left, right)


def differs(left: Expression, right: Expression) -> Expression:
    """Returns whether two values differ."""
    return _call("_!=_", left, right)


def one_of(value: Expression, choices: list[str]) -> Expression:
    """Returns whether a value is one of several constants."""
    return _call("@in", value, {"list_expr": {"elements": [text(choice) for choice in choices]}})


def negation(operand: Expression) -> Expression:
    """Returns the negation of a condition."""
    return _call("!_", operand)


def all_of(conditions: list[Expression]) -> Expression:
    """Returns the conjunction of at least one condition."""
    return _fold("_&&_", conditions)


def any_of(conditions: list[Expression]) -> Expression:
    """Returns the disjunction of at least one condition. It is true even if another condition is an error."""
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
