"""SQL that changes contents and their revisions.

A caller locks the content with `get_for_update` before it changes it.
"""

from sqlalchemy import and_, bindparam, delete, func, insert, null, select, update
from sqlalchemy import literal as value
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from chassis.database import Transaction, statement
from content_service.authoring.rules import ARCHIVED, DRAFT, MATERIAL, PUBLISHED
from content_service.authoring.types import DraftChanges, LockedContent, NewContent
from content_service.authoring.visibility import THE_CONTENT, scope
from content_service.tables import content_materials, content_revisions, contents

_OF_CONTENT = (
    content_revisions.c.scope_id == scope(),
    content_revisions.c.content_id == bindparam("content_id"),
)

GET_FOR_UPDATE = statement(
    select(contents.c.kind, contents.c.version).where(*THE_CONTENT).with_for_update(), LockedContent
)
# A separate statement after the lock. If GET_FOR_UPDATE waits for another transaction, its snapshot of the
# other tables is older than that transaction.
LIST_STATES = statement(
    select(content_revisions.c.state).where(*_OF_CONTENT, content_revisions.c.state != ARCHIVED), str
)
# Without this lock, two siblings that are created at the same time would get the same position.
LOCK_SIBLINGS = statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("siblings"), value(0))))
)
_parent = bindparam("parent_id", type_=UUID)
INSERT = statement(
    insert(contents)
    .from_select(
        ["scope_id", "parent_id", "kind", "created_by_user_id", "position"],
        select(
            scope(),
            _parent,
            bindparam("kind", type_=contents.c.kind.type),
            bindparam("created_by_user_id", type_=UUID),
            func.coalesce(func.max(contents.c.position) + 1, value(0)),
        ).where(
            contents.c.scope_id == scope(),
            contents.c.parent_id.is_not_distinct_from(_parent),
            contents.c.kind != MATERIAL,
            contents.c.deleted_at == null(),
        ),
    )
    .returning(contents.c.content_id),
    str,
)
INSERT_MATERIAL = statement(
    insert(contents)
    .values(scope_id=scope(), kind=value(MATERIAL), created_by_user_id=bindparam("created_by_user_id"))
    .returning(contents.c.content_id),
    str,
)
INSERT_REVISION = statement(
    insert(content_revisions).values(
        scope_id=scope(),
        content_id=bindparam("content_id"),
        number=value(1),
        state=value(DRAFT),
        title=bindparam("title"),
        body=bindparam("body"),
        created_by_user_id=bindparam("created_by_user_id"),
    )
)
_older = content_revisions.alias()
CREATE_DRAFT = statement(
    insert(content_revisions)
    .from_select(
        ["scope_id", "content_id", "number", "state", "title", "body", "created_by_user_id"],
        select(
            content_revisions.c.scope_id,
            content_revisions.c.content_id,
            select(func.max(_older.c.number) + 1)
            .where(_older.c.scope_id == scope(), _older.c.content_id == bindparam("content_id"))
            .scalar_subquery(),
            value(DRAFT),
            content_revisions.c.title,
            content_revisions.c.body,
            bindparam("created_by_user_id", type_=UUID),
        ).where(*_OF_CONTENT, content_revisions.c.state == PUBLISHED),
    )
    .returning(content_revisions.c.revision_id),
    str,
)
COPY_ATTACHMENTS = statement(
    insert(content_materials).from_select(
        ["scope_id", "revision_id", "material_id", "attached_at"],
        select(
            content_materials.c.scope_id,
            bindparam("revision_id", type_=UUID),
            content_materials.c.material_id,
            content_materials.c.attached_at,
        )
        .join(
            content_revisions,
            and_(
                content_revisions.c.scope_id == content_materials.c.scope_id,
                content_revisions.c.revision_id == content_materials.c.revision_id,
            ),
        )
        .where(*_OF_CONTENT, content_revisions.c.state == PUBLISHED),
    )
)
UPDATE_DRAFT = statement(
    update(content_revisions)
    .where(*_OF_CONTENT, content_revisions.c.state == DRAFT)
    .values(
        title=func.coalesce(
            bindparam("title", type_=content_revisions.c.title.type), content_revisions.c.title
        ),
        body=func.coalesce(bindparam("body", type_=content_revisions.c.body.type), content_revisions.c.body),
        updated_at=func.now(),
    )
)
TOUCH_DRAFT = statement(
    update(content_revisions)
    .where(*_OF_CONTENT, content_revisions.c.state == DRAFT)
    .values(updated_at=func.now())
)
ARCHIVE = statement(
    update(content_revisions)
    .where(*_OF_CONTENT, content_revisions.c.state == PUBLISHED)
    .values(state=value(ARCHIVED), updated_at=func.now())
)
PUBLISH = statement(
    update(content_revisions)
    .where(*_OF_CONTENT, content_revisions.c.state == DRAFT)
    .values(state=value(PUBLISHED), published_at=func.now(), updated_at=func.now())
)
INCREMENT_VERSION = statement(update(contents).where(*THE_CONTENT).values(version=contents.c.version + 1))
_draft_of_content = (
    select(content_revisions.c.revision_id)
    .where(*_OF_CONTENT, content_revisions.c.state == DRAFT)
    .scalar_subquery()
)
ATTACH = statement(
    upsert(content_materials)
    .values(scope_id=scope(), revision_id=_draft_of_content, material_id=bindparam("material_id"))
    .on_conflict_do_nothing()
)
DETACH = statement(
    delete(content_materials).where(
        content_materials.c.scope_id == scope(),
        content_materials.c.revision_id == _draft_of_content,
        content_materials.c.material_id == bindparam("material_id"),
    )
)


async def get_for_update(transaction: Transaction, scope_id: str, content_id: str) -> LockedContent | None:
    """Locks a content until the transaction ends; returns None if it does not exist."""
    key = {"scope_id": scope_id, "content_id": content_id}
    locked = await transaction.one(GET_FOR_UPDATE, **key)
    if locked is None:
        return None
    states = await transaction.all(LIST_STATES, **key)
    return locked._replace(has_draft=DRAFT in states, has_published=PUBLISHED in states)


async def create(transaction: Transaction, content: NewContent) -> str:
    """Inserts a content after its siblings, with a first draft; returns its id."""
    key = {"scope_id": content.scope_id, "created_by_user_id": content.created_by_user_id}
    if content.kind == MATERIAL:
        content_id = await transaction.one(INSERT_MATERIAL, **key)
    else:
        await transaction.run(LOCK_SIBLINGS, siblings=f"{content.scope_id} {content.parent_id}".lower())
        content_id = await transaction.one(INSERT, parent_id=content.parent_id, kind=content.kind, **key)
    assert content_id is not None
    await transaction.run(
        INSERT_REVISION, content_id=content_id, title=content.title, body=content.body, **key
    )
    return content_id


async def create_draft(transaction: Transaction, scope_id: str, content_id: str, author_id: str) -> None:
    """Copies the published revision and its attachments to a new draft.

    The content must have a published revision and must not have a draft.
    """
    key = {"scope_id": scope_id, "content_id": content_id}
    revision_id = await transaction.one(CREATE_DRAFT, created_by_user_id=author_id, **key)
    await transaction.run(COPY_ATTACHMENTS, revision_id=revision_id, **key)


async def update_draft(
    transaction: Transaction, scope_id: str, content_id: str, changes: DraftChanges
) -> None:
    """Changes the title and the body of the draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(UPDATE_DRAFT, title=changes.title, body=changes.body, **key)
    await transaction.run(INCREMENT_VERSION, **key)


async def publish(transaction: Transaction, scope_id: str, content_id: str) -> None:
    """Archives the published revision and publishes the draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(ARCHIVE, **key)
    await transaction.run(PUBLISH, **key)
    await transaction.run(INCREMENT_VERSION, **key)


async def unpublish(transaction: Transaction, scope_id: str, content_id: str) -> None:
    """Archives the published revision."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(ARCHIVE, **key)
    await transaction.run(INCREMENT_VERSION, **key)


async def attach(transaction: Transaction, scope_id: str, content_id: str, material_id: str) -> None:
    """Attaches a material to the draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(ATTACH, material_id=material_id, **key)
    await transaction.run(TOUCH_DRAFT, **key)
    await transaction.run(INCREMENT_VERSION, **key)


async def detach(transaction: Transaction, scope_id: str, content_id: str, material_id: str) -> None:
    """Detaches a material from the draft."""
    key = {"scope_id": scope_id, "content_id": content_id}
    await transaction.run(DETACH, material_id=material_id, **key)
    await transaction.run(TOUCH_DRAFT, **key)
    await transaction.run(INCREMENT_VERSION, **key)
