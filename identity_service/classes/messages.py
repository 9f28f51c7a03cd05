"""Classes as they travel."""

from datetime import timedelta

from chassis import etags
from chassis.wire import Spelling, timestamp
from identity_service.classes import rules
from identity_service.classes.store import ClassRow
from meno.access.v1.access_pb2 import ClassRole
from meno.identity.v1.class_service_pb2 import Class, JoinPolicy

CLASS_ROLES = Spelling(ClassRole)
JOIN_POLICIES = Spelling(JoinPolicy)


def message(row: ClassRow, my_role: str | None, purge_days: int = 0) -> Class:
    """A class as somebody in this role sees it; `purge_days` is needed of one that may be deleted."""
    purged_at = row.deleted_at + timedelta(days=purge_days) if row.deleted_at else None
    return Class(
        class_id=row.class_id,
        title=row.title,
        description=row.description,
        join_code=row.join_code if my_role == "TEACHER" else "",
        join_policy=JOIN_POLICIES.number(row.join_policy),
        my_role=CLASS_ROLES.number(my_role) if my_role else ClassRole.CLASS_ROLE_UNSPECIFIED,
        state=rules.state(row),
        create_time=timestamp(row.created_at),
        update_time=timestamp(row.updated_at),
        archive_time=timestamp(row.archived_at),
        delete_time=timestamp(row.deleted_at),
        purge_time=timestamp(purged_at),
        etag=etags.etag(row.version),
    )
