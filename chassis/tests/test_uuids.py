"""UUIDs of requests are normalised to lower case."""

import uuid

from google.protobuf.struct_pb2 import Struct

from chassis.uuids import normalize_uuids
from meno.identity.v1.user_service_pb2 import BatchGetUsersRequest
from meno.session.v1.event_service_pb2 import AppendEventsRequest
from meno.session.v1.resources_pb2 import Event


def test_only_fields_that_are_uuids_are_changed_to_lower_case() -> None:
    user_id, session_id, event_id = (str(uuid.uuid4()) for _ in range(3))
    payload = Struct()
    payload.update({"id": event_id.upper()})
    request = AppendEventsRequest(
        user_id=user_id.upper(),
        session_id=session_id,
        events=[Event(client_event_id=event_id.upper(), payload=payload)],
    )
    normalize_uuids(request)
    assert (request.user_id, request.session_id, request.request_id) == (user_id, session_id, "")
    [event] = request.events
    assert (event.client_event_id, event.payload["id"]) == (event_id, event_id.upper())


def test_lists_of_uuids_are_changed_to_lower_case() -> None:
    user_ids = [str(uuid.uuid4()) for _ in range(3)]
    request = BatchGetUsersRequest(user_ids=map(str.upper, user_ids))
    normalize_uuids(request)
    assert [*request.user_ids] == user_ids
