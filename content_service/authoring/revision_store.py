"""SQL that changes contents and their revisions.

Each change begins with `lock`, which keeps others off the content until it is committed.
"""

from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, func, insert, null, select, update
from sqlalchemy import literal as value
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased

from chassis.database import Transaction, statement
from content_service.authoring.rules import ARCHIVED, DRAFT, MATERIAL, PUBLISHED
from content_service.authoring.visibility import scope
from content_service.tables import Attachment, Content, Revision


class LockedRow(NamedTuple):
    """What a change of a content asks first."""

    kind: str
    version: int
    has_draft: bool = False
    has_published: bool = False


class NewContent(NamedTuple):
    """What is created."""

    scope_id: str
    parent_id: str | None
    kind: str
    title: str
    body: dict[str, Any]
    created_by_user_id: str


_THE_CONTENT = (
    Content.scope_id == scope(),
    Content.content_id == bindparam("content_id"),
    Content.deleted_at == null(),
)
_OF_CONTENT = (Revision.scope_id == scope(), Revision.content_id == bindparam("content_id"))

LOCK = statement(select(Content.kind, Content.version).where(*_THE_CONTENT).with_for_update(), LockedRow)
# Asked after the lock, in a statement of its own: while LOCK waits for another change, its
# view of every other table stays as it was before that.
STATES = statement(select(Revision.state).where(*_OF_CONTENT, Revision.state != ARCHIVED), str)
# Two siblings that are created at once would otherwise take the same place.
LOCK_SIBLINGS = statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("siblings"), value(0))))
)
_parent = bindparam("parent_id", type_=UUID)
ADD = statement(
    insert(Content)
    .from_select(
        ["scope_id", "parent_id", "kind", "created_by_user_id", "position"],
        select(
            scope(),
            _parent,
            bindparam("kind", type_=Content.kind.type),
            bindparam("created_by_user_id", type_=UUID),
            func.coalesce(func.max(Content.position) + 1, value(0)),
        ).where(
            Content.scope_id == scope(),
            Content.parent_id.is_not_distinct_from(_parent),
            Content.kind != MATERIAL,
            Content.deleted_at == null(),
        ),
    )
    .returning(Content.content_id),
    str,
)
ADD_MATERIAL = statement(
    insert(Content)
    .values(scope_id=scope(), kind=value(MATERIAL), created_by_user_id=bindparam("created_by_user_id"))
    .returning(Content.content_id),
    str,
)
ADD_REVISION = statement(
    insert(Revision).values(
        scope_id=scope(),
        content_id=bindparam("content_id"),
        number=value(1),
        state=value(DRAFT),
        title=bindparam("title"),
        body=bindparam("body"),
        created_by_user_id=bindparam("created_by_user_id"),
    )
)
_older = aliased(Revision)
BEGIN_DRAFT = statement(
    insert(Revision)
    .from_select(
        ["scope_id", "content_id", "number", "state", "title", "body", "created_by_user_id"],
        select(
            Revision.scope_id,
            Revision.content_id,
            select(func.max(_older.number) + 1)
            .where(_older.scope_id == scope(), _older.content_id == bindparam("content_id"))
            .scalar_subquery(),
            value(DRAFT),
            Revision.title,
            Revision.body,
            bindparam("created_by_user_id", type_=UUID),
        ).where(*_OF_CONTENT, Revision.state == PUBLISHED),
    )
    .returning(Revision.revision_id),
    str,
)
_source = aliased(Revision)
COPY_ATTACHMENTS = statement(
    insert(Attachment).from_select(
        ["scope_id", "revision_id", "material_id", "attached_at"],
        select(
            Attachment.scope_id,
            bindparam("revision_id", type_=UUID),
            Attachment.material_id,
            Attachment.attached_at,
        )
        .join(
            Revision,
            and_(Revision.scope_id == Attachment.scope_id, Revision.revision_id == Attachment.revision_id),
        )
        .where(*_OF_CONTENT, Revision.state == PUBLISHED),
    )
)
CHANGE_DRAFT = statement(
    update(Revision)
    .where(*_OF_CONTENT, Revision.state == DRAFT)
    .values(
        title=func.coalesce(bindparam("title", type_=Revision.title.type), Revision.title),
        body=func.coalesce(bindparam("body", type_=Revision.body.type), Revision.body),
        updated_at=func.now(),
    )
)
TOUCH_DRAFT = statement(
    update(Revision).where(*_OF_CONTENT, Revision.state == DRAFT).values(updated_at=func.now())
)
RETIRE = statement(
    update(Revision)
    .where(*_OF_CONTENT, Revision.state == PUBLISHED)
    .values(state=value(ARCHIVED), updated_at=func.now())
)
PUBLISH = statement(
    update(Revision)
    .where(*_OF_CONTENT, Revision.state == DRAFT)
    .values(state=value(PUBLISHED), published_at=func.now(), updated_at=func.now())
)
TOUCH = statement(update(Content).where(*_THE_CONTENT).values(version=Content.version + 1))
_draft_of_content = (
    select(Revision.revision_id).where(*_OF_CONTENT, Revision.state == DRAFT).scalar_subquery()
)
ATTACH = statement(
    upsert(Attachment)
    .values(scope_id=scope(), revision_id=_draft_of_content, material_id=bindparam("material_id"))
    .on_conflict_do_nothing()
)
DETACH = statement(
    delete(Attachment).where(
        Attachment.scope_id == scope(),
        Attachment.revision_id == _draft_of_content,
        Attachment.material_id == bindparam("material_id"),
    )
)


async def lock(transaction: Transaction, scope_id: str, content_id: str) -> LockedRow | None:
    """Keeps others from changing a content; None where there is none."""
    key = {"scope_id": scope_id, "content_id": content_id}
    locked = await transaction.one(LOCK, **key)
    if locked is None:
        return None
    states = await transaction.all(STATES, **key)
    return locked._replace(has_draft=DRAFT in states, has_published=PUBLISHED in states)


async def create(transaction: Transaction, content: NewContent) -> str:
    """Adds a content after its siblings, with a first draft, and returns its id."""
    scope_id, author = content.scope_id, content.created_by_user_id
    if content.kind == MATERIAL:
        content_id = await transaction.one(ADD_MATERIAL, scope_id=scope_id, created_by_user_id=author)
    else:
        await transaction.run(LOCK_SIBLINGS, siblings=f"{scope_id} {content.parent_id}".lower())
        place = {"parent_id": content.parent_id, "kind": content.kind}
        content_id = await transaction.one(ADD, scope_id=scope_id, created_by_user_id=author, **place)
    assert content_id is not None
    says = {"title": content.title, "body": content.body}
    await transaction.run(
        ADD_REVISION, scope_id=scope_id, content_id=content_id, created_by_user_id=author, **says
    )
    return content_id


async def begin_draft(transaction: Transaction, scope_id: str, content_id: str, author: str) -> None:
    """Begins a draft from the published revision. There must be that one and no draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    revision_id = await transaction.one(BEGIN_DRAFT, created_by_user_id=author, **key)
    await transaction.run(COPY_ATTACHMENTS, revision_id=revision_id, **key)


async def change_draft(
    transaction: Transaction, scope_id: str, content_id: str, title: str | None, body: dict[str, Any] | None
) -> None:
    """Replaces the draft's title and body; None leaves what is there."""
    await transaction.run(CHANGE_DRAFT, scope_id=scope_id, content_id=content_id, title=title, body=body)
    await transaction.run(TOUCH, scope_id=scope_id, content_id=content_id)


async def publish(transaction: Transaction, scope_id: str, content_id: str) -> None:
    """Puts the draft in the place of the published revision."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(RETIRE, **key)
    await transaction.run(PUBLISH, **key)
    await transaction.run(TOUCH, **key)


async def hide(transaction: Transaction, scope_id: str, content_id: str) -> None:
    """Takes the published revision away from its readers."""
    await transaction.run(RETIRE, scope_id=scope_id, content_id=content_id)
    await transaction.run(TOUCH, scope_id=scope_id, content_id=content_id)


async def attach(transaction: Transaction, scope_id: str, content_id: str, material_id: str) -> None:
    """Adds a material to the draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(ATTACH, material_id=material_id, **key)
    await transaction.run(TOUCH_DRAFT, **key)
    await transaction.run(TOUCH, **key)


async def detach(transaction: Transaction, scope_id: str, content_id: str, material_id: str) -> None:
    """Takes a material from the draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(DETACH, material_id=material_id, **key)
    await transaction.run(TOUCH_DRAFT, **key)
    await transaction.run(TOUCH, **key)
