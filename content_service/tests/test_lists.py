"""Lists of contents over gRPC: order, pages and page tokens."""

import asyncio
import base64
import json
from typing import Any

import pytest

from chassis.testing import expect_error, read_pages
from content_service.authoring.visibility import MAX_SORT_PATH
from content_service.tests.conftest import ContentService, Person, titles
from meno.content.v1.content_service_pb2 import ListContentsRequest, ListDraftsRequest
from meno.content.v1.resources_pb2 import Content, ContentBody


async def create_course(service: ContentService, teacher: Person) -> list[str]:
    """Creates modules, lessons and materials in a class. Returns the titles in the order of the lists."""
    first = await service.module(teacher, "1")
    await service.lesson(teacher, "2")
    third = await service.module(teacher, "3")
    # Created in another order than that of the lists.
    for title in ("3.1", "3.2", "3.3"):
        await service.lesson(teacher, title, third.content_id)
    for title in ("1.1", "1.2"):
        await service.lesson(teacher, title, first.content_id)
    for title in ("a file", "another file"):
        await service.upload(teacher, "Words.", title=title)
    return ["1", "1.1", "1.2", "2", "3", "3.1", "3.2", "3.3", "a file", "another file"]


async def list_published(service: ContentService, person: Person, page_size: int = 0) -> list[Content]:
    request = ListContentsRequest(class_id=person.class_id, page_size=page_size)
    found: list[Content] = []
    async for page in read_pages(service.contents.ListContents, request, **person.auth):
        assert not page_size or len(page.contents) <= page_size
        found += page.contents
    return found


async def test_each_content_is_listed_before_its_children(content: ContentService) -> None:
    teacher = content.teacher()
    student = content.student(teacher.class_id)
    order = await create_course(content, teacher)
    drafts = await content.drafts(teacher)
    assert titles(drafts) == order
    for made in drafts:
        await content.publish(teacher, made.content_id)
    assert titles(await list_published(content, student)) == order
    positions = {made.title: made.position for made in drafts}
    assert [positions[title] for title in ("1", "2", "3", "1.1", "1.2", "3.3")] == [0, 1, 2, 0, 1, 2]


async def test_a_page_of_large_contents_is_shorter(content: ContentService) -> None:
    teacher = content.teacher()
    body = ContentBody(lesson=ContentBody.Lesson(text="漢" * 60_000))
    made = await asyncio.gather(*(content.create(teacher, body, str(number)) for number in range(25)))
    for lesson in made:
        await content.publish(teacher, lesson.content_id)
    page = await content.contents.ListContents(ListContentsRequest(class_id=teacher.class_id), **teacher.auth)
    assert (0 < len(page.contents) < len(made), bool(page.next_page_token)) == (True, True)
    assert sorted(titles(await list_published(content, teacher))) == sorted(titles(made))


async def test_pages_of_any_size_contain_every_content_once(content: ContentService) -> None:
    teacher = content.teacher()
    order = await create_course(content, teacher)
    for made in await content.drafts(teacher):
        if made.title != "3":
            await content.publish(teacher, made.content_id)
    seen = [title for title in order if not title.startswith("3")]
    for size in range(1, 12):
        assert titles(await content.drafts(teacher, size)) == order
        assert titles(await list_published(content, content.student(teacher.class_id), size)) == seen


async def test_a_content_that_is_added_between_pages_does_not_shift_the_next_page(
    content: ContentService,
) -> None:
    teacher = content.teacher()
    order = await create_course(content, teacher)
    request = ListDraftsRequest(class_id=teacher.class_id, page_size=4)
    reply = await content.contents.ListDrafts(request, **teacher.auth)
    first = titles([*reply.contents])
    await content.lesson(teacher, "1.3", reply.contents[0].content_id)
    request.page_token, request.page_size = reply.next_page_token, 50
    rest = await content.contents.ListDrafts(request, **teacher.auth)
    assert first + titles([*rest.contents]) == order


async def test_siblings_that_are_created_concurrently_have_distinct_positions(
    content: ContentService,
) -> None:
    teacher = content.teacher()
    module = await content.module(teacher)
    spellings = (module.content_id, module.content_id.upper())
    await asyncio.gather(
        *[content.lesson(teacher, str(number), spellings[number % 2]) for number in range(40)]
    )
    lessons = (await content.drafts(teacher))[1:]
    assert [lesson.position for lesson in lessons] == [*range(40)]
    assert {*titles(lessons)} == {*map(str, range(40))}


async def test_a_page_token_of_another_list_is_refused(content: ContentService) -> None:
    teacher = content.teacher()
    for _ in range(2):
        await content.publish(teacher, (await content.lesson(teacher)).content_id)
    mine = ListDraftsRequest(class_id=teacher.class_id, page_size=1)
    token = (await content.contents.ListDrafts(mine, **teacher.auth)).next_page_token
    assert token
    stranger = content.teacher()
    for call in (
        content.contents.ListContents(
            ListContentsRequest(class_id=teacher.class_id, page_token=token), **teacher.auth
        ),
        content.contents.ListDrafts(
            ListDraftsRequest(class_id=stranger.class_id, page_token=token), **stranger.auth
        ),
        content.contents.ListDrafts(
            ListDraftsRequest(class_id=teacher.class_id, page_token=token[:-8]), **teacher.auth
        ),
    ):
        denied = await expect_error(call)
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


ANY_ID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("position", "found"),
    [
        ([str(2**62), ANY_ID], 0),
        ([str(MAX_SORT_PATH), ANY_ID], 0),
        ([0, ANY_ID], 2),
        (["0", 7], None),
        (["0", ["x"]], None),
        (["0"], None),
        (["0", ANY_ID, "more"], None),
        (["1.5", ANY_ID], None),
        (["0", "' OR true"], None),
    ],
)
async def test_a_forged_page_token_gives_no_access_to_other_lists(
    content: ContentService, position: list[Any], found: int | None
) -> None:
    teacher, stranger = content.teacher(), content.teacher()
    for person in (teacher, teacher, stranger):
        await content.lesson(person)
    request = ListDraftsRequest(class_id=teacher.class_id, page_size=1)
    valid_token = (await content.contents.ListDrafts(request, **teacher.auth)).next_page_token
    bound = json.loads(base64.urlsafe_b64decode(valid_token))[0]
    forged = base64.urlsafe_b64encode(json.dumps([bound, *position]).encode()).decode()
    request = ListDraftsRequest(class_id=teacher.class_id, page_token=forged)
    if found is None:
        denied = await expect_error(content.contents.ListDrafts(request, **teacher.auth))
        assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    else:
        reply = await content.contents.ListDrafts(request, **teacher.auth)
        assert [made.class_id for made in reply.contents] == [teacher.class_id] * found
