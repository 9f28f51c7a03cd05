"""Reads of users and classes, written in the usual way for FastAPI and the asynchronous SQLAlchemy ORM.

    uvicorn tests.benchmarks.peers.identity:app --loop uvloop --http httptools

It admits the same callers as Meno, reads the same tables and returns the same fields.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

from tests.benchmarks.peers.callers import caller, database, owner


class Base(DeclarativeBase):
    """The tables."""

    type_annotation_map: ClassVar = {dict[str, Any]: JSONB}


class LoginIdentifier(Base):
    """A login name, e-mail address or phone number of a user."""

    __tablename__ = "login_identifiers"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    verified_at: Mapped[datetime | None]


class UserIdentity(Base):
    """The identity of a user at an OpenID Connect issuer."""

    __tablename__ = "user_identities"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)


class User(Base):
    """A user."""

    __tablename__ = "users"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    full_name: Mapped[str]
    nickname: Mapped[str]
    age: Mapped[int | None]
    grade: Mapped[int | None]
    board: Mapped[str]
    school_name: Mapped[str]
    about_me: Mapped[str]
    onboarding_complete: Mapped[bool]
    role: Mapped[str]
    guest: Mapped[bool]
    xp: Mapped[int]
    level: Mapped[int]
    streak: Mapped[int]
    streak_day: Mapped[date | None]
    last_active_at: Mapped[datetime]
    last_sign_in_at: Mapped[datetime | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    identifiers: Mapped[list[LoginIdentifier]] = relationship()
    identities: Mapped[list[UserIdentity]] = relationship()


class UserSettings(Base):
    """The settings of a user."""

    __tablename__ = "user_settings"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    app_theme: Mapped[str]
    prefers_assistive_learning: Mapped[bool]
    notifications: Mapped[dict[str, Any]]
    time_zone: Mapped[str]
    keep_practice_history: Mapped[bool]
    version: Mapped[int]
    updated_at: Mapped[datetime]


class Class(Base):
    """A class."""

    __tablename__ = "classes"

    class_id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str]
    join_code: Mapped[str]
    join_policy: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class UserClass(Base):
    """A class of a user."""

    __tablename__ = "user_classes"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    class_id: Mapped[UUID] = mapped_column(ForeignKey("classes.class_id"), primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime]
    of_class: Mapped[Class] = relationship(lazy="joined", innerjoin=True)


class Membership(Base):
    """A member of a class."""

    __tablename__ = "class_memberships"

    class_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    role: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Reply(BaseModel):
    """The base class of responses."""

    model_config = ConfigDict(from_attributes=True)


class UserReply(Reply):
    """A user."""

    user_id: UUID
    display_name: str
    full_name: str
    nickname: str
    age: int | None
    grade: int | None
    board: str
    school_name: str
    about_me: str
    onboarding_complete: bool
    role: str
    guest: bool
    xp: int
    level: int
    streak: int
    last_active_at: datetime
    last_sign_in_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    identifiers: list["IdentifierReply"]
    identities: list["IdentityReply"]


class IdentifierReply(Reply):
    """A login name, e-mail address or phone number of a user."""

    kind: str
    value: str
    verified_at: datetime | None


class IdentityReply(Reply):
    """The identity of a user at an OpenID Connect issuer."""

    issuer: str


class SettingsReply(Reply):
    """The settings of a user."""

    user_id: UUID
    app_theme: str
    prefers_assistive_learning: bool
    notifications: dict[str, Any]
    time_zone: str
    keep_practice_history: bool
    version: int
    updated_at: datetime


class ClassReply(Reply):
    """A class."""

    class_id: UUID
    title: str
    description: str
    join_code: str
    join_policy: str
    version: int
    created_at: datetime
    updated_at: datetime


class ClassesReply(BaseModel):
    """A page of classes."""

    classes: list[ClassReply]
    next_page_token: str


class MembershipReply(BaseModel):
    """A member of a class."""

    class_id: UUID
    user_id: UUID
    display_name: str
    role: str
    created_at: datetime


class MembershipsReply(BaseModel):
    """A page of members."""

    memberships: list[MembershipReply]
    next_page_token: str


MIN_TIMESTAMP = datetime(1, 1, 1, tzinfo=UTC)

app = FastAPI()

Claims = Annotated[dict[str, Any], Depends(caller)]
Database = Annotated[AsyncSession, Depends(database)]
Owner = Annotated[UUID, Depends(owner)]


def check_class_role(class_id: UUID, claims: dict[str, Any], *allowed: str) -> None:
    """Raises HTTPException 403 if the caller has none of the allowed roles in the class."""
    if claims["classes"].get(str(class_id)) not in allowed:
        raise HTTPException(403, "permission denied")


@app.get("/v1/users/{user_id}", response_model=UserReply)
async def get_user(user_id: Owner, database: Database) -> User:
    """Returns the caller."""
    found = await database.scalar(
        select(User)
        .where(User.user_id == user_id, User.deleted_at.is_(None))
        .options(selectinload(User.identifiers), selectinload(User.identities))
    )
    if found is None:
        raise HTTPException(404, "no such user")
    return found


@app.get("/v1/users/{user_id}/settings", response_model=SettingsReply)
async def get_settings(user_id: Owner, database: Database) -> UserSettings:
    """Returns the caller's settings."""
    found = await database.scalar(select(UserSettings).where(UserSettings.user_id == user_id))
    if found is None:
        raise HTTPException(404, "no settings")
    return found


@app.get("/v1/classes/{class_id}", response_model=ClassReply)
async def get_class(class_id: UUID, claims: Claims, database: Database) -> Class:
    """Returns a class of the caller."""
    check_class_role(class_id, claims, "STUDENT", "TEACHER")
    found = await database.scalar(select(Class).where(Class.class_id == class_id, Class.deleted_at.is_(None)))
    if found is None:
        raise HTTPException(404, "no such class")
    return found


@app.get("/v1/users/{user_id}/classes")
async def list_classes(user_id: Owner, database: Database) -> ClassesReply:
    """Returns the first page of the caller's classes, newest first."""
    rows = await database.scalars(
        select(UserClass)
        .join(UserClass.of_class)
        .where(UserClass.user_id == user_id, Class.deleted_at.is_(None))
        .order_by(UserClass.created_at.desc(), UserClass.class_id.desc())
        .limit(51)
    )
    found = [ClassReply.model_validate(row.of_class) for row in rows]
    return ClassesReply(classes=found[:50], next_page_token=str(found[50].class_id) if found[50:] else "")


@app.get("/v1/classes/{class_id}/memberships")
async def list_memberships(class_id: UUID, claims: Claims, database: Database) -> MembershipsReply:
    """Returns the first page of a class's members, in the order in which they joined."""
    check_class_role(class_id, claims, "TEACHER")
    rows = await database.scalars(
        select(Membership)
        .join(Membership.user)
        .where(
            Membership.class_id == class_id,
            Membership.status == "ACTIVE",
            User.deleted_at.is_(None),
            tuple_(Membership.created_at, Membership.user_id) > tuple_(MIN_TIMESTAMP, UUID(int=0)),
        )
        .order_by(Membership.created_at, Membership.user_id)
        .limit(51)
    )
    found = [
        MembershipReply(
            class_id=row.class_id,
            user_id=row.user_id,
            display_name=row.user.display_name,
            role=row.role,
            created_at=row.created_at,
        )
        for row in rows
    ]
    return MembershipsReply(
        memberships=found[:50], next_page_token=str(found[50].user_id) if found[50:] else ""
    )
