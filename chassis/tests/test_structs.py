"""JSON objects of callers: canonical text, round trip and limits."""

import json
import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from chassis import structs

# jsonb does not distinguish negative zero from zero.
numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
scalars = st.none() | st.booleans() | numbers | names
objects = st.dictionaries(
    names,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
    ),
    max_size=4,
)


def struct(fields: dict[str, Any]) -> Struct:
    built = Struct()
    built.update(fields)
    return built


def nested(levels: int, *, lists: bool = False) -> Struct:
    """Returns an object with this number of levels."""
    value: Any = 1
    for _ in range(levels - 1):
        value = [value] if lists else {"in": value}
    return struct({"in": value})


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(objects)
def test_a_stored_object_is_returned_unchanged(fields: dict[str, Any]) -> None:
    if depth(fields) > structs.MAX_DEPTH:
        with pytest.raises(structs.TooLarge):
            structs.to_canonical_json(struct(fields))
    else:
        assert structs.from_json(structs.to_canonical_json(struct(fields))) == struct(fields)


@given(objects)
def test_canonical_json_does_not_depend_on_the_order_of_the_fields(fields: dict[str, Any]) -> None:
    backwards = struct(dict(reversed(fields.items())))
    if depth(fields) <= structs.MAX_DEPTH:
        assert structs.to_canonical_json(struct(fields)) == structs.to_canonical_json(backwards)


@given(numbers)
def test_a_number_is_canonical_in_each_notation_of_the_database(number: float) -> None:
    canonical = structs.to_canonical_json(struct({"n": number}))
    assert structs.canonicalize(f'{{"n": {number:f}}}' if number.is_integer() else canonical) == canonical


@pytest.mark.parametrize("lists", [False, True])
def test_eight_levels_are_accepted_and_nine_are_not(lists: bool) -> None:
    assert structs.to_canonical_json(nested(8, lists=lists))
    with pytest.raises(structs.TooLarge):
        structs.to_canonical_json(nested(9, lists=lists))


def test_sixteen_kibibytes_are_accepted_and_one_more_byte_is_not() -> None:
    frame = len('{"t":""}')
    assert (
        len(structs.to_canonical_json(struct({"t": "x" * (structs.MAX_BYTES - frame)}))) == structs.MAX_BYTES
    )
    with pytest.raises(structs.TooLarge):
        structs.to_canonical_json(struct({"t": "x" * (structs.MAX_BYTES - frame + 1)}))
    with pytest.raises(structs.TooLarge):
        structs.to_canonical_json(struct({"t": "é" * ((structs.MAX_BYTES - frame) // 2 + 1)}))


def test_true_differs_from_one_and_integers_have_no_fraction() -> None:
    assert structs.to_canonical_json(struct({"a": True})) != structs.to_canonical_json(struct({"a": 1}))
    assert json.loads(structs.to_canonical_json(struct({"a": -0.0, "b": 3.0}))) == {"a": 0, "b": 3}


@pytest.mark.parametrize(
    "value",
    [
        Value(number_value=math.nan),
        Value(number_value=-math.inf),
        Value(string_value="a\0b"),
        Value(),
        Value(struct_value=Struct(fields={"\0": Value(bool_value=True)})),
        Value(list_value=ListValue(values=[Value()])),
    ],
)
def test_an_unsupported_value_is_an_error(value: Value) -> None:
    with pytest.raises(structs.UnsupportedValue):
        structs.to_canonical_json(Struct(fields={"field": value}))
