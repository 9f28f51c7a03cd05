"""Update masks (AIP-134)."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from chassis.errors import FieldInvalid


def changes(resource: Message, mask: FieldMask, updatable: tuple[str, ...]) -> dict[str, Any]:
    """Returns the fields to change with their new values.

    They are the fields that the mask names; without a mask, the updatable fields that are set in the resource.
    Raises FieldInvalid if there are none, or if the mask names another field. (protovalidate also permits paths
    below an updatable field, such as `title.x`.)
    """
    if unknown := {*mask.paths} - {*updatable}:
        rule = f"must contain only {', '.join(updatable)}, not {', '.join(sorted(unknown))}"
        raise FieldInvalid.of("update_mask", rule, "field_mask.in")
    set_fields = {field.name for field, _ in resource.ListFields()}
    names = [*mask.paths] or [name for name in updatable if name in set_fields]
    if not names:
        # Usually a zero value without a mask, a misspelled field, or a body without the resource.
        rule = f"must name the fields to change: none of {', '.join(updatable)} has a value other than zero"
        raise FieldInvalid.of("update_mask", rule, "field_mask.empty")
    return {name: getattr(resource, name) for name in names}
