"""Maps users to and from the messages of the contract."""

from datetime import datetime, timedelta
from typing import Any

from chassis import etags, field_masks
from chassis.conversions import EnumCodec, to_timestamp
from identity_service.people.activity import rules as activity
from identity_service.people.users.types import NameRow, Profile, UserRow
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.resources_pb2 import (
    USER_STATE_ACTIVE,
    USER_STATE_DEACTIVATED,
    USER_STATE_DELETED,
    User,
    UserState,
)
from meno.identity.v1.user_service_pb2 import (
    BatchGetUsersResponse,
    CompleteOnboardingRequest,
    UpdateUserRequest,
)

ROLES = EnumCodec(GlobalRole)


def to_message(row: UserRow, now: datetime, purge_delay: timedelta | None = None) -> User:
    """Returns the user of a row.

    `now` decides whether the streak is still running. `purge_delay` is the time between deletion and
    erasure; it is needed only for deleted users.
    """
    return User(
        user_id=row.user_id,
        login_name=row.identifier("LOGIN_NAME"),
        email=row.identifier("EMAIL"),
        phone=row.identifier("PHONE"),
        display_name=row.display_name,
        full_name=row.full_name,
        nickname=row.nickname,
        role=ROLES.value(row.role),
        create_time=to_timestamp(row.created_at),
        update_time=to_timestamp(row.updated_at),
        etag=etags.etag(row.version),
        age=row.age or 0,
        grade=row.grade or 0,
        board=row.board,
        school_name=row.school_name,
        about_me=row.about_me,
        onboarding_complete=row.onboarding_complete,
        xp=row.xp,
        level=row.level,
        streak_days=_streak_days(row, now),
        last_active_time=to_timestamp(row.last_active_at),
        last_sign_in_time=to_timestamp(row.last_sign_in_at),
        guest=row.guest,
        state=_state(row),
        email_verified=row.has_verified("EMAIL"),
        phone_verified=row.has_verified("PHONE"),
        identity_issuers=row.identity_issuers,
        delete_time=to_timestamp(row.deleted_at),
        purge_time=to_timestamp(row.deleted_at + purge_delay) if row.deleted_at and purge_delay else None,
    )


def to_user_name(row: NameRow) -> BatchGetUsersResponse.UserName:
    """Returns the names of a user."""
    return BatchGetUsersResponse.UserName(**row._asdict())


def read_changes(request: UpdateUserRequest) -> dict[str, Any]:
    """Returns the fields that an update changes: those of the mask, or else the non-empty ones (AIP-134)."""
    return field_masks.changes(request.user, request.update_mask, Profile._fields)


def read_onboarding_changes(request: CompleteOnboardingRequest) -> dict[str, Any]:
    """Returns the profile fields that the request sets."""
    return {name: value for name in Profile._fields if (value := getattr(request, name, None))}


def _streak_days(row: UserRow, now: datetime) -> int:
    if row.streak_day is None:
        return 0
    return activity.current_streak(row.streak, row.streak_day, (row.streak_time_zone, row.time_zone), now)


def _state(row: UserRow) -> UserState.ValueType:
    if row.deleted_at is not None:
        return USER_STATE_DELETED
    return USER_STATE_ACTIVE if row.deactivated_at is None else USER_STATE_DEACTIVATED
