"""The rules of buf.validate and google.api.field_behavior as keywords of JSON Schema."""

import re
from collections.abc import Callable
from typing import Any

from buf.validate import validate_pb2
from buf.validate.validate_pb2 import FieldRules, Ignore
from google.api import field_behavior_pb2
from google.api.field_behavior_pb2 import FieldBehavior
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from deploy.gateway.openapi.wellknown import Schema

_STRING = "string"
_FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_LENGTHS = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern", "const": "const"}
_BOUNDS = {
    "gte": "minimum",
    "gt": "exclusiveMinimum",
    "lte": "maximum",
    "lt": "exclusiveMaximum",
    "const": "const",
}
_ITEMS = {"min_items": "minItems", "max_items": "maxItems"}
_PAIRS = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}
_64_BIT = ("int64", "uint64", "sint64", "fixed64", "sfixed64")
_NUMBERS = ("int32", "uint32", "sint32", "fixed32", "sfixed32", "float", "double")


def rules_of(field: FieldDescriptor) -> FieldRules:
    """Returns the rules of a field."""
    rules: FieldRules = field.GetOptions().Extensions[validate_pb2.field]
    return rules


def is_required(field: FieldDescriptor) -> bool:
    """Returns whether a request must set the field."""
    return _behaves(field, FieldBehavior.REQUIRED) or rules_of(field).required


def is_optional(field: FieldDescriptor) -> bool:
    """Returns whether the field is declared as optional."""
    return _behaves(field, FieldBehavior.OPTIONAL)


def direction(field: FieldDescriptor) -> Schema:
    """Returns whether only responses or only requests contain the field. Identifiers are read-only."""
    if _behaves(field, FieldBehavior.OUTPUT_ONLY) or _behaves(field, FieldBehavior.IDENTIFIER):
        return {"readOnly": True}
    return {"writeOnly": True} if _behaves(field, FieldBehavior.INPUT_ONLY) else {}


def keywords(rules: FieldRules, enum: EnumDescriptor | None = None) -> Schema:
    """Returns the keywords of the rules, in addition to the type."""
    kind = rules.WhichOneof("type")
    if kind is None or rules.ignore == Ignore.IGNORE_ALWAYS:
        return {}
    declared_rules = getattr(rules, kind)
    if kind == "enum":
        return _enum(declared_rules, enum) if enum is not None else {}
    translate = _TRANSLATIONS.get(kind)
    return translate(declared_rules) if translate else {}


def describe(declared: FieldDescriptor | Descriptor) -> list[str]:
    """Returns the messages of the CEL rules, which JSON Schema cannot express."""
    extension: Any = validate_pb2.field if isinstance(declared, FieldDescriptor) else validate_pb2.message
    rules = declared.GetOptions().Extensions[extension]
    return [f"Rule: {rule.message}." for rule in rules.cel if rule.message]


def _string(declared_rules: Any) -> Schema:
    schema = _set(declared_rules, _LENGTHS) | _choice(declared_rules)
    if declared_rules.HasField("len"):
        schema |= {"minLength": declared_rules.len, "maxLength": declared_rules.len}
    if _matches_word(declared_rules.pattern):
        schema["examples"] = [_STRING]
    known = declared_rules.WhichOneof("well_known")
    return schema | ({"format": _FORMATS[known]} if known in _FORMATS else {})


def _matches_word(pattern: str) -> bool:
    """Returns whether a pattern matches a plain word. Python lacks the Unicode classes of RE2."""
    known = pattern.replace(r"\p{L}", "A-Za-z").replace(r"\p{N}", "0-9")
    return bool(pattern) and r"\p" not in known and bool(re.search(known, _STRING))


def _enum(declared_rules: Any, enum: EnumDescriptor) -> Schema:
    def names(numbers: list[int]) -> list[str]:
        return [enum.values_by_number[number].name for number in numbers]

    allowed = getattr(declared_rules, "in") or [
        value.number for value in enum.values if value.number not in declared_rules.not_in
    ]
    if len(allowed) == len(enum.values):
        return {}
    excluded = [value.number for value in enum.values if value.number not in allowed]
    return {"not": {"enum": names(excluded)}, "examples": names(allowed)[:1]}


def _64_bit(declared_rules: Any) -> Schema:
    """Returns a pattern for unsigned values. JSON represents these types as strings, without bounds."""
    positive = (declared_rules.HasField("gte") and declared_rules.gte >= 0) or (
        declared_rules.HasField("gt") and declared_rules.gt >= -1
    )
    return {"pattern": "^[0-9]+$"} if positive else {}


def _number(declared_rules: Any) -> Schema:
    return _set(declared_rules, _BOUNDS)


def _repeated(declared_rules: Any) -> Schema:
    return _set(declared_rules, _ITEMS) | ({"uniqueItems": True} if declared_rules.unique else {})


def _map(declared_rules: Any) -> Schema:
    return _set(declared_rules, _PAIRS)


def _field_mask(declared_rules: Any) -> Schema:
    if not (allowed := getattr(declared_rules, "in")):
        return {}
    path = "|".join(_camel_case(name) for name in allowed)
    return {"pattern": f"^(({path})(,({path}))*)?$", "examples": [",".join(map(_camel_case, allowed))]}


def _camel_case(path: str) -> str:
    first, *rest = path.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _choice(declared_rules: Any) -> Schema:
    schema: Schema = {}
    if allowed := list(getattr(declared_rules, "in")):
        schema["enum"] = allowed
    if declared_rules.not_in:
        schema["not"] = {"enum": list(declared_rules.not_in)}
    return schema


def _set(declared_rules: Any, names: dict[str, str]) -> Schema:
    return {
        keyword: getattr(declared_rules, name)
        for name, keyword in names.items()
        if declared_rules.HasField(name)
    }


def _behaves(field: FieldDescriptor, behaviour: FieldBehavior.ValueType) -> bool:
    return behaviour in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


_TRANSLATIONS: dict[str, Callable[[Any], Schema]] = {
    "string": _string,
    "repeated": _repeated,
    "map": _map,
    "field_mask": _field_mask,
    **dict.fromkeys(_64_BIT, _64_bit),
    **dict.fromkeys(_NUMBERS, _number),
}
