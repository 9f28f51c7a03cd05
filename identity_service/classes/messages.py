"""Maps classes to and from the messages of the contract."""

from datetime import timedelta

from chassis import etags, field_masks
from chassis.conversions import EnumCodec, to_timestamp
from identity_service.classes import rules
from identity_service.classes.types import ClassChanges, ClassFields, ClassRow
from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import CreateClassRequest, UpdateClassRequest
from meno.identity.v1.resources_pb2 import Class, JoinPolicy

CLASS_ROLES = EnumCodec(ClassRole)
JOIN_POLICIES = EnumCodec(JoinPolicy)


def to_message(row: ClassRow, my_role: str | None, purge_days: int = 0) -> Class:
    """Returns the class of a row.

    `my_role` is the class role of the caller; only teachers see the join code. `purge_days` is the number of
    days between deletion and purge; it is needed only for deleted classes.
    """
    purged_at = row.deleted_at + timedelta(days=purge_days) if row.deleted_at else None
    return Class(
        class_id=row.class_id,
        title=row.title,
        description=row.description,
        join_code=row.join_code if my_role == "TEACHER" else "",
        join_policy=JOIN_POLICIES.value(row.join_policy),
        my_role=CLASS_ROLES.value(my_role) if my_role else ClassRole.CLASS_ROLE_UNSPECIFIED,
        state=rules.state(row),
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
        archive_time=to_timestamp(row.archived_at),
        delete_time=to_timestamp(row.deleted_at),
        purge_time=to_timestamp(purged_at),
        etag=etags.etag(row.version),
    )


def to_fields(request: CreateClassRequest) -> ClassFields:
    """Returns the fields of a class to create."""
    policy = JOIN_POLICIES.name(request.join_policy or JoinPolicy.JOIN_POLICY_OPEN)
    return ClassFields(request.title, request.description, policy)


def to_changes(request: UpdateClassRequest) -> ClassChanges:
    """Returns the fields that an update changes: those of the mask, or else the non-empty ones (AIP-134)."""
    changes = field_masks.changes(request.class_info, request.update_mask, ClassFields._fields)
    if "join_policy" in changes:
        changes["join_policy"] = JOIN_POLICIES.name(request.class_info.join_policy)
    return ClassChanges(**changes)
