"""Fields of JSON requests that the contract does not have."""

import difflib
import sys
from types import FrameType

import pytest
from google.rpc.error_details_pb2 import BadRequest

from chassis.errors import FieldInvalid
from chassis.json_fields import check_json_fields
from meno.identity.v1.class_service_pb2 import CreateClassRequest


def violations(paths: str) -> list[str]:
    with pytest.raises(FieldInvalid) as invalid:
        check_json_fields(CreateClassRequest(), paths)
    [bad_request] = invalid.value.details
    assert isinstance(bad_request, BadRequest)
    return [violation.field for violation in bad_request.field_violations]


def test_a_name_may_contain_escape_sequences() -> None:
    # The gateway sends `\u0074itle` and `request\u005fid` with encoded backslashes.
    check_json_fields(CreateClassRequest(), "%5Cu0074itle,request%5Cu005fid")


@pytest.mark.parametrize("name", ["%5Cu00", "%5C", "%5Cud800", "%5Cu0074itel", 'title%22%5C"'])
def test_an_unknown_or_cut_name_with_escape_sequences_is_reported_as_it_was_written(name: str) -> None:
    assert violations(name) == [name.replace("%5C", "\\").replace("%22", '"')]


def test_only_as_many_names_are_compared_as_are_reported() -> None:
    compared = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal compared
        compared += event == "call" and frame.f_code is difflib.get_close_matches.__code__

    sys.setprofile(count)
    try:
        found = violations(",".join(f"unknown{number}" for number in range(400)))
    finally:
        sys.setprofile(None)
    assert found == [f"unknown{number}" for number in range(20)]
    assert compared == 20
