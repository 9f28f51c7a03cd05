"""Contents and their revisions over gRPC: drafts, publication and visibility."""

import uuid
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import execute_sql, expect_error
from content_service.tests.conftest import ContentService, Person, titles
from meno.content.v1.content_service_pb2 import (
    CreateContentRequest,
    GetContentRequest,
    GetDraftRequest,
    ListContentsRequest,
    ListDraftsRequest,
    PublishContentRequest,
    UnpublishContentRequest,
    UpdateDraftRequest,
)
from meno.content.v1.resources_pb2 import (
    CONTENT_KIND_LESSON,
    CONTENT_KIND_MODULE,
    REVISION_STATE_DRAFT,
    REVISION_STATE_PUBLISHED,
    Content,
    ContentBody,
)

LESSON = ContentBody(lesson=ContentBody.Lesson(text="Read this.", objectives=["Read", "Write"]))
MODULE = ContentBody(module=ContentBody.Module(summary="About it."))


async def get_content(service: ContentService, person: Person, content_id: str) -> Content:
    request = GetContentRequest(class_id=person.class_id, content_id=content_id)
    return await service.contents.GetContent(request, **person.auth)


async def get_draft(service: ContentService, person: Person, content_id: str) -> Content:
    request = GetDraftRequest(class_id=person.class_id, content_id=content_id)
    return await service.contents.GetDraft(request, **person.auth)


async def list_contents(service: ContentService, person: Person) -> list[Content]:
    request = ListContentsRequest(class_id=person.class_id)
    return [*(await service.contents.ListContents(request, **person.auth)).contents]


async def assert_hidden(service: ContentService, person: Person, content_id: str) -> None:
    """Asserts that a person cannot see a content."""
    request = GetContentRequest(class_id=person.class_id, content_id=content_id)
    denied = await expect_error(service.contents.GetContent(request, **person.auth))
    assert (denied.code, denied.reason) == ("NOT_FOUND", "CONTENT_NOT_FOUND")
    assert denied.metadata == {"content_id": content_id}
    assert content_id not in [content.content_id for content in await list_contents(service, person)]


def update(person: Person, content_id: str, *, etag: str = "", **values: Any) -> UpdateDraftRequest:
    """Returns a request that sets the given fields of a draft."""
    return UpdateDraftRequest(
        class_id=person.class_id, content_id=content_id, etag=etag, content=Content(**values)
    )


async def test_a_new_content_is_a_draft(content: ContentService) -> None:
    teacher = content.teacher()
    made = await content.create(teacher, LESSON, "Fractions")
    assert (made.class_id, made.kind, made.parent_id) == (teacher.class_id, CONTENT_KIND_LESSON, "")
    assert (made.title, made.body, [*made.material_ids]) == ("Fractions", LESSON, [])
    assert (made.state, made.revision_number, made.position) == (REVISION_STATE_DRAFT, 1, 0)
    assert not made.HasField("publish_time")
    assert made.etag
    assert await get_draft(content, teacher, made.content_id) == made
    module = await content.create(teacher, MODULE)
    assert (module.kind, module.body, module.position) == (CONTENT_KIND_MODULE, MODULE, 1)


@pytest.mark.parametrize(
    "field", ["unset", "empty", "material", "long text", "long title", "blank title", "many objectives"]
)
async def test_an_invalid_content_is_refused(content: ContentService, field: str) -> None:
    teacher = content.teacher()
    request = CreateContentRequest(class_id=teacher.class_id, title="A lesson", body=LESSON)
    if field == "unset":
        request.ClearField("body")
    elif field == "empty":
        request.body.Clear()
    elif field == "material":
        request.body.material.file_name = "mine.pdf"
    elif field == "long text":
        request.body.lesson.text = "x" * 65_537
    elif field == "many objectives":
        request.body.lesson.objectives.extend(["Know"] * 20)
    else:
        request.title = "x" * 201 if field == "long title" else "  "
    denied = await expect_error(content.contents.CreateContent(request, **teacher.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert denied.detail(BadRequest).field_violations
    assert await content.drafts(teacher) == []


async def test_a_content_of_maximum_size_is_stored_completely(content: ContentService) -> None:
    teacher = content.teacher()
    body = ContentBody(lesson=ContentBody.Lesson(text="é" * 65_536, objectives=["✓" * 200] * 20))
    made = await content.create(teacher, body, "عنوان\u200f 🙂" * 20)
    assert (made.body, made.title) == (body, "عنوان\u200f 🙂" * 20)


async def test_a_parent_of_a_wrong_kind_is_refused(content: ContentService) -> None:
    teacher, stranger = content.teacher(), content.teacher()
    module = await content.module(teacher)
    lesson = await content.lesson(teacher, parent_id=module.content_id)
    assert lesson.parent_id == module.content_id
    material = await content.upload(teacher, "Words.")
    foreign = await content.module(stranger)
    for body, parent_id in (
        (MODULE, module.content_id),
        (LESSON, lesson.content_id),
        (LESSON, material.material_id),
        (LESSON, foreign.content_id),
        (LESSON, str(uuid.uuid4())),
    ):
        request = CreateContentRequest(
            class_id=teacher.class_id, title="Lost", body=body, parent_id=parent_id
        )
        denied = await expect_error(content.contents.CreateContent(request, **teacher.auth))
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "PARENT_INVALID")
        kind = "MODULE" if body is MODULE else "LESSON"
        assert denied.metadata == {"parent_id": parent_id, "kind": kind}


async def test_students_see_a_content_only_after_it_is_published(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.lesson(teacher, "First words")
    await assert_hidden(content, student, lesson.content_id)
    published = await content.publish(teacher, lesson.content_id)
    assert (published.state, published.revision_id) == (REVISION_STATE_PUBLISHED, lesson.revision_id)
    assert published.HasField("publish_time")
    seen = await get_content(content, student, lesson.content_id)
    assert seen == published
    assert await list_contents(content, student) == [published]


async def test_a_new_draft_does_not_change_the_published_revision(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.lesson(teacher, "Old")
    await content.publish(teacher, lesson.content_id)
    before = await get_content(content, student, lesson.content_id)
    body = ContentBody(lesson=ContentBody.Lesson(text="Not yet."))
    changed = await content.contents.UpdateDraft(
        update(teacher, lesson.content_id, title="New", body=body), **teacher.auth
    )
    assert (changed.state, changed.revision_number) == (REVISION_STATE_DRAFT, 2)
    assert changed.revision_id != lesson.revision_id
    material = await content.upload(teacher, "Words.")
    await content.attach(teacher, lesson.content_id, material.material_id)
    after = await get_content(content, student, lesson.content_id)
    before.etag = after.etag
    assert after == before
    assert titles(await list_contents(content, student)) == ["Old"]
    assert titles(await content.drafts(teacher)) == ["New", "notes"]
    await content.publish(teacher, lesson.content_id)
    now = await get_content(content, student, lesson.content_id)
    assert (now.title, now.body, now.revision_id) == ("New", body, changed.revision_id)


async def test_an_update_changes_only_the_given_fields(content: ContentService) -> None:
    teacher = content.teacher()
    made = await content.create(teacher, LESSON, "Old")
    renamed = await content.contents.UpdateDraft(
        update(teacher, made.content_id, title="New"), **teacher.auth
    )
    assert (renamed.title, renamed.body) == ("New", LESSON)
    body = ContentBody(lesson=ContentBody.Lesson(text="Other."))
    rewritten = await content.contents.UpdateDraft(
        update(teacher, made.content_id, body=body), **teacher.auth
    )
    assert (rewritten.title, rewritten.body, rewritten.revision_id) == ("New", body, made.revision_id)


async def test_an_update_mask_selects_the_fields_to_change(content: ContentService) -> None:
    teacher = content.teacher()
    made = await content.create(teacher, LESSON, "Old")
    request = update(
        teacher,
        made.content_id,
        title="New",
        body=ContentBody(lesson=ContentBody.Lesson(text="Other.")),
    )
    request.update_mask.paths.append("title")
    renamed = await content.contents.UpdateDraft(request, **teacher.auth)
    assert (renamed.title, renamed.body) == ("New", LESSON)


@pytest.mark.parametrize("path", ["title", "body", "kind"])
async def test_an_update_mask_with_an_unset_or_fixed_field_is_refused(
    content: ContentService, path: str
) -> None:
    teacher = content.teacher()
    made = await content.create(teacher, LESSON)
    request = update(teacher, made.content_id)
    request.update_mask.paths.append(path)
    denied = await expect_error(content.contents.UpdateDraft(request, **teacher.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert await get_draft(content, teacher, made.content_id) == made


async def test_a_body_of_another_kind_is_refused(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    material = await content.upload(teacher, "Words.")
    for content_id, body, kind in (
        (lesson.content_id, MODULE, "LESSON"),
        (material.material_id, LESSON, "MATERIAL"),
    ):
        denied = await expect_error(
            content.contents.UpdateDraft(update(teacher, content_id, body=body), **teacher.auth)
        )
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "BODY_KIND_MISMATCH")
        assert denied.metadata == {"kind": kind}
    assert await get_draft(content, teacher, lesson.content_id) == lesson


async def test_a_lesson_in_an_unpublished_module_is_hidden(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    module = await content.module(teacher)
    lesson = await content.lesson(teacher, parent_id=module.content_id)
    await content.publish(teacher, lesson.content_id)
    await assert_hidden(content, student, lesson.content_id)
    await content.publish(teacher, module.content_id)
    assert titles(await list_contents(content, student)) == ["A module", "A lesson"]
    assert (await get_content(content, student, lesson.content_id)).title == "A lesson"
    await content.unpublish(teacher, module.content_id)
    await assert_hidden(content, student, lesson.content_id)
    await assert_hidden(content, student, module.content_id)
    assert titles(await content.drafts(teacher)) == ["A module", "A lesson"]


async def test_unpublishing_creates_a_draft(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.create(teacher, LESSON, "Shown once")
    await content.publish(teacher, lesson.content_id)
    unpublished = await content.unpublish(teacher, lesson.content_id)
    assert (unpublished.state, unpublished.title, unpublished.body) == (
        REVISION_STATE_DRAFT,
        "Shown once",
        LESSON,
    )
    assert not unpublished.HasField("publish_time")
    await assert_hidden(content, student, lesson.content_id)
    again = await content.publish(teacher, lesson.content_id)
    assert (again.state, await get_content(content, student, lesson.content_id)) == (
        REVISION_STATE_PUBLISHED,
        again,
    )


async def test_unpublishing_keeps_an_existing_draft(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher, "Old")
    await content.publish(teacher, lesson.content_id)
    changed = await content.contents.UpdateDraft(
        update(teacher, lesson.content_id, title="New"), **teacher.auth
    )
    unpublished = await content.unpublish(teacher, lesson.content_id)
    assert (unpublished.title, unpublished.revision_id) == ("New", changed.revision_id)


async def test_published_revisions_never_change(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher, "One")
    for number, title in enumerate(("One", "Two", "Three"), 1):
        await content.contents.UpdateDraft(update(teacher, lesson.content_id, title=title), **teacher.auth)
        published = await content.publish(teacher, lesson.content_id)
        assert published.revision_number == number
    await content.unpublish(teacher, lesson.content_id)
    await content.contents.UpdateDraft(update(teacher, lesson.content_id, title="Four"), **teacher.auth)
    stored = execute_sql(
        content.database_url,
        "SELECT number, state, title FROM content_revisions"
        " WHERE scope_id = %s AND content_id = %s ORDER BY number",
        *(teacher.class_id, lesson.content_id),
    )
    assert stored == [
        (1, "ARCHIVED", "One"),
        (2, "ARCHIVED", "Two"),
        (3, "ARCHIVED", "Three"),
        (4, "DRAFT", "Four"),
    ]


async def test_a_change_that_the_state_does_not_permit_is_refused(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    key: dict[str, Any] = {"class_id": teacher.class_id, "content_id": lesson.content_id}
    unpublish = UnpublishContentRequest(**key)
    denied = await expect_error(content.contents.UnpublishContent(unpublish, **teacher.auth))
    assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "NOT_PUBLISHED")
    await content.publish(teacher, lesson.content_id)
    for call in (
        content.contents.PublishContent(PublishContentRequest(**key), **teacher.auth),
        content.contents.GetDraft(GetDraftRequest(**key), **teacher.auth),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "DRAFT_NOT_FOUND")
        assert denied.metadata == {"content_id": lesson.content_id}


async def test_a_change_with_an_old_etag_is_refused(content: ContentService) -> None:
    teacher = content.teacher()
    lesson = await content.lesson(teacher)
    changed = await content.contents.UpdateDraft(
        update(teacher, lesson.content_id, title="New", etag=lesson.etag), **teacher.auth
    )
    stale: dict[str, Any] = {
        "class_id": teacher.class_id,
        "content_id": lesson.content_id,
        "etag": lesson.etag,
    }
    for call in (
        content.contents.UpdateDraft(
            update(teacher, lesson.content_id, etag=lesson.etag, title="Newer"), **teacher.auth
        ),
        content.contents.PublishContent(PublishContentRequest(**stale), **teacher.auth),
        content.contents.UnpublishContent(UnpublishContentRequest(**stale), **teacher.auth),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("ABORTED", "ETAG_MISMATCH")
        assert denied.metadata == {"current": changed.etag}
    assert await get_draft(content, teacher, lesson.content_id) == changed
    published = await content.publish(teacher, lesson.content_id, etag=changed.etag)
    assert published.etag not in {lesson.etag, changed.etag}


async def test_students_can_neither_see_nor_change_drafts(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    lesson = await content.lesson(teacher)
    key: dict[str, Any] = {"class_id": teacher.class_id, "content_id": lesson.content_id}
    calls = content.contents
    for call in (
        calls.CreateContent(
            CreateContentRequest(class_id=teacher.class_id, title="Mine", body=LESSON), **student.auth
        ),
        calls.GetDraft(GetDraftRequest(**key), **student.auth),
        calls.ListDrafts(ListDraftsRequest(class_id=teacher.class_id), **student.auth),
        calls.UpdateDraft(update(teacher, lesson.content_id, title="Mine"), **student.auth),
        calls.PublishContent(PublishContentRequest(**key), **student.auth),
        calls.UnpublishContent(UnpublishContentRequest(**key), **student.auth),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_teachers_of_another_class_have_no_access(content: ContentService) -> None:
    teacher, stranger = content.teacher(), content.teacher()
    lesson = await content.lesson(teacher)
    await content.publish(teacher, lesson.content_id)
    calls = content.contents
    denied = await expect_error(
        calls.GetContent(
            GetContentRequest(class_id=teacher.class_id, content_id=lesson.content_id), **stranger.auth
        )
    )
    assert (denied.code, denied.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    under_their_own: dict[str, Any] = {"class_id": stranger.class_id, "content_id": lesson.content_id}
    for call in (
        calls.GetContent(GetContentRequest(**under_their_own), **stranger.auth),
        calls.GetDraft(GetDraftRequest(**under_their_own), **stranger.auth),
        calls.UpdateDraft(update(stranger, lesson.content_id, title="Mine"), **stranger.auth),
        calls.PublishContent(PublishContentRequest(**under_their_own), **stranger.auth),
        calls.UnpublishContent(UnpublishContentRequest(**under_their_own), **stranger.auth),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("NOT_FOUND", "CONTENT_NOT_FOUND")
        assert denied.metadata == {"content_id": lesson.content_id}
    assert await list_contents(content, stranger) == await content.drafts(stranger) == []


async def test_a_deleted_content_is_hidden_from_everyone(content: ContentService) -> None:
    teacher = content.teacher()
    module = await content.module(teacher)
    lesson = await content.lesson(teacher, parent_id=module.content_id)
    for made in (module, lesson):
        await content.publish(teacher, made.content_id)
    content.delete(module.class_id, module.content_id)
    await assert_hidden(content, teacher, module.content_id)
    await assert_hidden(content, teacher, lesson.content_id)
    assert await content.drafts(teacher) == []
