"""Update masks: the fields that an update changes."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from chassis import field_masks
from chassis.errors import FieldInvalid
from meno.identity.v1.resources_pb2 import User

UPDATABLE = ("display_name", "full_name", "nickname")


def test_without_a_mask_the_updatable_fields_that_are_set_are_changed() -> None:
    user = User(user_id="not updatable", display_name="Ada", nickname="Ace")
    assert field_masks.changes(user, FieldMask(), UPDATABLE) == {"display_name": "Ada", "nickname": "Ace"}


@pytest.mark.parametrize("resource", [User(), User(user_id="not updatable")])
def test_an_update_that_changes_nothing_is_rejected(resource: User) -> None:
    with pytest.raises(
        FieldInvalid, match="update_mask: must name the fields to change: none of display_name"
    ):
        field_masks.changes(resource, FieldMask(), UPDATABLE)


def test_a_mask_selects_the_fields_including_empty_ones() -> None:
    user = User(display_name="Ada", nickname="Ace")
    mask = FieldMask(paths=["display_name", "full_name"])
    assert field_masks.changes(user, mask, UPDATABLE) == {"display_name": "Ada", "full_name": ""}


@pytest.mark.parametrize("path", ["user_id", "display_name.x", ""])
def test_a_mask_with_another_field_is_rejected(path: str) -> None:
    with pytest.raises(FieldInvalid, match="update_mask: must contain only display_name"):
        field_masks.changes(User(), FieldMask(paths=["nickname", path]), UPDATABLE)
