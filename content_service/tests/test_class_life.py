"""What becomes of content when its class or its author goes."""

import uuid

import psycopg
import pytest

from chassis.testing import bearer, refused
from content_service.tests.conftest import PHOTOSYNTHESIS, VOLCANOES, ContentService, Person
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.account_feed_service_pb2 import AccountEvent
from meno.content.v1.content_service_pb2 import Body, CreateContentRequest, ListContentsRequest

SCOPED = (
    "contents",
    "content_revisions",
    "content_materials",
    "materials",
    "material_chunks",
    "chunk_terms",
    "chunk_embeddings",
)


def rows(service: ContentService, class_id: str) -> dict[str, int]:
    """How many rows of each table belong to a class."""
    with psycopg.connect(service.database_url) as connection:
        counts = {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE scope_id = %s", [class_id]
            ).fetchone()
            for table in SCOPED
        }
    return {table: count[0] for table, count in counts.items() if count}


async def applied(service: ContentService) -> None:
    """Returns when everything in the feed so far was applied, for events are applied in order."""
    user_id = str(uuid.uuid4())
    service.house.feed.append(user_erased=AccountEvent.UserErased(user_id=user_id))
    await service.house.until_told("erasure", user_id=user_id)


async def test_a_purged_class_takes_rows_vectors_and_files_with_it(content: ContentService) -> None:
    gone, stays = content.teacher(), content.teacher()
    for teacher, text in ((gone, PHOTOSYNTHESIS), (stays, VOLCANOES)):
        lesson = await content.lesson(teacher)
        await content.published_material(teacher, text, lesson.content_id)
    before = rows(content, stays.class_id)
    assert all(before.values())
    content.house.feed.change_class(gone.class_id, ClassState.CLASS_STATE_PURGED)
    await applied(content)
    assert rows(content, gone.class_id) == dict.fromkeys(SCOPED, 0)
    assert content.files(gone.class_id) == []
    assert rows(content, stays.class_id) == before
    assert len(content.files(stays.class_id)) == 1


@pytest.mark.parametrize("state", ["ARCHIVED", "DELETED", "ACTIVE"])
async def test_a_class_that_may_come_back_loses_nothing(alone: ContentService, state: str) -> None:
    teacher = alone.teacher()
    await alone.lesson(teacher)
    before = rows(alone, teacher.class_id)
    alone.house.feed.change_class(teacher.class_id, ClassState.Value(f"CLASS_STATE_{state}"))
    await applied(alone)
    assert rows(alone, teacher.class_id) == before


async def test_an_archived_class_is_read_and_not_written(alone: ContentService) -> None:
    teacher = alone.teacher()
    lesson = await alone.lesson(teacher)
    await alone.publish(teacher, lesson.content_id)
    token = alone.house.issuer.token(teacher.user_id, archived={teacher.class_id: "TEACHER"})
    reader = Person(teacher.user_id, teacher.class_id, bearer(token))
    listing = ListContentsRequest(class_id=teacher.class_id)
    listed = await alone.contents.ListContents(listing, **reader.auth)
    assert [content.content_id for content in listed.contents] == [lesson.content_id]
    assert len(await alone.drafts(reader)) == 1
    request = CreateContentRequest(class_id=teacher.class_id, title="New", body=Body(lesson=Body.Lesson()))
    assert (await refused(alone.contents.CreateContent(request, **reader.auth))).reason == "ACCESS_DENIED"
    assert (await refused(alone.publish(reader, lesson.content_id))).reason == "ACCESS_DENIED"


async def test_what_an_erased_author_wrote_stays_and_names_nobody(alone: ContentService) -> None:
    teacher = alone.teacher()
    lesson = await alone.lesson(teacher)
    await alone.publish(teacher, lesson.content_id)
    alone.house.feed.append(user_erased=AccountEvent.UserErased(user_id=teacher.user_id))
    receipt = await alone.house.until_told("erasure", user_id=teacher.user_id)
    with psycopg.connect(alone.database_url) as connection:
        authors = connection.execute(
            "SELECT created_by_user_id FROM contents UNION SELECT created_by_user_id FROM content_revisions"
        ).fetchall()
    assert (authors, receipt.body["rows"]) == ([(None,)], 2)
    assert [draft.title for draft in await alone.drafts(alone.teacher(teacher.class_id))] == ["A lesson"]


async def test_what_students_come_to_see_is_audited(alone: ContentService) -> None:
    teacher = alone.teacher()
    lesson = await alone.lesson(teacher)
    await alone.publish(teacher, lesson.content_id)
    await alone.unpublish(teacher, lesson.content_id)
    for action in ("CONTENT_PUBLISHED", "CONTENT_UNPUBLISHED"):
        entry = await alone.house.until_told("audit_entry", action=f"AUDIT_ACTION_{action}")
        assert (entry.body["actor_user_id"], entry.body["class_id"], entry.body["resource_id"]) == (
            teacher.user_id,
            teacher.class_id,
            lesson.content_id,
        )
        assert entry.body["request_id"]
