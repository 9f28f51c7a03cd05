"""The effects of purged classes and erased authors on content."""

import uuid

import pytest

from chassis.testing import bearer, execute_sql, expect_error
from content_service.tables import METADATA
from content_service.tests.conftest import PHOTOSYNTHESIS, VOLCANOES, ContentService, Person
from meno.access.v1.access_pb2 import ClassState
from meno.access.v1.resources_pb2 import AccountEvent
from meno.content.v1.content_service_pb2 import CreateContentRequest, ListContentsRequest
from meno.content.v1.resources_pb2 import ContentBody

SCOPED = [table.name for table in METADATA.sorted_tables if "scope_id" in table.columns]
"""Every table that belongs to a class."""


def count_rows(service: ContentService, class_id: str) -> dict[str, int]:
    """Returns the number of rows of a class in each table."""
    counts = {}
    for table in SCOPED:
        query = f"SELECT count(*) FROM {table} WHERE scope_id = %s"
        [[counts[table]]] = execute_sql(service.database_url, query, class_id)
    return counts


async def wait_until_applied(service: ContentService) -> None:
    """Returns when all events in the feed so far are applied. Events are applied in order."""
    user_id = str(uuid.uuid4())
    service.env.feed.append(user_erased=AccountEvent.UserErased(user_id=user_id))
    await service.env.wait_for_outbox("erasure", user_id=user_id)


async def test_purging_a_class_deletes_its_rows_vectors_and_files(content: ContentService) -> None:
    purged, kept = content.teacher(), content.teacher()
    for teacher, text in ((purged, PHOTOSYNTHESIS), (kept, VOLCANOES)):
        lesson = await content.lesson(teacher)
        await content.published_material(teacher, text, lesson.content_id)
    before = count_rows(content, kept.class_id)
    assert all(before.values())
    content.env.feed.set_class_state(purged.class_id, ClassState.CLASS_STATE_PURGED)
    await wait_until_applied(content)
    assert count_rows(content, purged.class_id) == dict.fromkeys(SCOPED, 0)
    assert content.files(purged.class_id) == []
    assert count_rows(content, kept.class_id) == before
    assert len(content.files(kept.class_id)) == 1


@pytest.mark.parametrize("state", ["ARCHIVED", "DELETED", "ACTIVE"])
async def test_a_class_that_is_not_purged_keeps_its_data(isolated: ContentService, state: str) -> None:
    teacher = isolated.teacher()
    await isolated.lesson(teacher)
    before = count_rows(isolated, teacher.class_id)
    isolated.env.feed.set_class_state(teacher.class_id, ClassState.Value(f"CLASS_STATE_{state}"))
    await wait_until_applied(isolated)
    assert count_rows(isolated, teacher.class_id) == before


async def test_an_archived_class_is_read_only(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    lesson = await isolated.lesson(teacher)
    await isolated.publish(teacher, lesson.content_id)
    token = isolated.env.issuer.token(teacher.user_id, archived={teacher.class_id: "TEACHER"})
    reader = Person(teacher.user_id, teacher.class_id, bearer(token))
    listing = ListContentsRequest(class_id=teacher.class_id)
    listed = await isolated.contents.ListContents(listing, **reader.auth)
    assert [content.content_id for content in listed.contents] == [lesson.content_id]
    assert len(await isolated.drafts(reader)) == 1
    request = CreateContentRequest(
        class_id=teacher.class_id, title="New", body=ContentBody(lesson=ContentBody.Lesson())
    )
    assert (
        await expect_error(isolated.contents.CreateContent(request, **reader.auth))
    ).reason == "ACCESS_DENIED"
    assert (await expect_error(isolated.publish(reader, lesson.content_id))).reason == "ACCESS_DENIED"


async def test_erasing_an_author_keeps_the_content_without_the_author_id(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    lesson = await isolated.lesson(teacher)
    await isolated.publish(teacher, lesson.content_id)
    isolated.env.feed.append(user_erased=AccountEvent.UserErased(user_id=teacher.user_id))
    receipt = await isolated.env.wait_for_outbox("erasure", user_id=teacher.user_id)
    authors = execute_sql(
        isolated.database_url,
        "SELECT created_by_user_id FROM contents UNION SELECT created_by_user_id FROM content_revisions",
    )
    assert (authors, receipt.body["rows"]) == ([(None,)], 2)
    assert [draft.title for draft in await isolated.drafts(isolated.teacher(teacher.class_id))] == [
        "A lesson"
    ]


async def test_publishing_and_unpublishing_are_audited(isolated: ContentService) -> None:
    teacher = isolated.teacher()
    lesson = await isolated.lesson(teacher)
    await isolated.publish(teacher, lesson.content_id)
    await isolated.unpublish(teacher, lesson.content_id)
    for action in ("CONTENT_PUBLISHED", "CONTENT_UNPUBLISHED"):
        entry = await isolated.env.wait_for_outbox("audit_entry", action=f"AUDIT_ACTION_{action}")
        assert (entry.body["actor_user_id"], entry.body["class_id"], entry.body["resource_id"]) == (
            teacher.user_id,
            teacher.class_id,
            lesson.content_id,
        )
        assert entry.body["request_id"]
