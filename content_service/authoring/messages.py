"""Conversions between rows and messages of contents."""

from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from chassis import etags, field_masks
from chassis.conversions import EnumCodec, to_timestamp
from content_service.authoring.rules import PUBLISHED
from content_service.authoring.types import ContentRow, DraftChanges
from meno.content.v1.content_service_pb2 import UpdateDraftRequest
from meno.content.v1.resources_pb2 import Content, ContentBody, ContentKind, RevisionState

KINDS = EnumCodec(ContentKind)
STATES = EnumCodec(RevisionState)


def to_message(row: ContentRow) -> Content:
    """Returns the message of a content."""
    return Content(
        class_id=row.scope_id,
        content_id=row.content_id,
        parent_id=row.parent_id or "",
        kind=KINDS.value(row.kind),
        position=row.position,
        revision_id=row.revision_id,
        revision_number=row.number,
        state=STATES.value(row.state),
        title=row.title,
        body=ParseDict(row.body, ContentBody()),
        material_ids=row.material_ids,
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
        publish_time=to_timestamp(row.published_at) if row.state == PUBLISHED else None,
        etag=etags.etag(row.version),
    )


def draft_changes(request: UpdateDraftRequest) -> DraftChanges:
    """Returns the changes that an update makes: the fields of the mask, or else the fields that are set."""
    changes = field_masks.changes(request.content, request.update_mask, ("title", "body"))
    body = changes.get("body")
    return DraftChanges(
        title=changes.get("title"),
        body=None if body is None else body_to_json(body),
        kind=None if body is None else kind_of(body),
    )


def body_to_json(body: ContentBody) -> dict[str, Any]:
    """Returns a body in the form in which it is stored."""
    return MessageToDict(body, preserving_proto_field_name=True)


def kind_of(body: ContentBody) -> str:
    """Returns the kind of content that a body belongs to. Raises ValueError if no kind is set."""
    kind = body.WhichOneof("kind")
    if kind is None:
        raise ValueError("the body has no kind")
    return kind.upper()
