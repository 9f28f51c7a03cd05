"""Every write, sent twenty times at once under one request_id, has one effect and one answer.

The cases are held against the contracts: a write that no case covers fails.
"""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from chassis.testing import refusal, refused
from deploy.gateway.contracts import routed_rpcs
from deploy.local.demo.people import Person
from deploy.local.stack import descriptors
from meno.access.v1.access_pb2 import ClassRole, GlobalRole
from meno.chat.v1.chat_service_pb2 import (
    AskRequest,
    Chat,
    CreateChatRequest,
    ListChatsRequest,
    ListMessagesRequest,
    SourceMode,
    StopAnswerRequest,
)
from meno.content.v1.content_service_pb2 import (
    Body,
    CreateContentRequest,
    ListDraftsRequest,
    PublishContentRequest,
    UnpublishContentRequest,
    UpdateDraftRequest,
)
from meno.content.v1.material_service_pb2 import (
    AttachMaterialRequest,
    DetachMaterialRequest,
    RetryProcessingRequest,
    UploadMaterialRequest,
)
from meno.identity.v1.class_service_pb2 import (
    AddMembershipRequest,
    ApproveMembershipRequest,
    ArchiveClassRequest,
    Class,
    CreateClassRequest,
    DeleteClassRequest,
    ImportRosterRequest,
    JoinClassRequest,
    JoinPolicy,
    LeaveClassRequest,
    ListClassesRequest,
    RejectMembershipRequest,
    RemoveMembershipRequest,
    RotateJoinCodeRequest,
    SetMembershipRoleRequest,
    UnarchiveClassRequest,
    UndeleteClassRequest,
    UpdateClassRequest,
)
from meno.identity.v1.user_service_pb2 import (
    CompleteOnboardingRequest,
    CreateUserRequest,
    DeactivateUserRequest,
    DeleteUserRequest,
    EraseUserRequest,
    ListUsersRequest,
    ReactivateUserRequest,
    SetGlobalRoleRequest,
    UndeleteUserRequest,
    UpdateSettingsRequest,
    UpdateUserRequest,
    User,
    UserSettings,
)
from meno.session.v1.event_service_pb2 import AppendEventsRequest, Event, EventKind, ListEventsRequest
from meno.session.v1.session_service_pb2 import (
    Action,
    ApplyActionRequest,
    CreateSessionRequest,
    ListSessionsRequest,
    Session,
)
from tests.end_to_end import administration
from tests.school import School, new_id

TIMES = 20
LIMITS = {"Ask": 20, "ImportRoster": 10}
"""How often a person may do in a minute what is costly."""
PDF = HttpBody(content_type="application/pdf", data=b"%PDF-1.4 and no more")

Write = tuple[Callable[..., Any], Any, Person]
Case = Callable[[School], Awaitable[tuple[Write, Callable[[], Awaitable[int]] | None]]]
"""Makes ready one write, and what counts its effects: one more after it than before."""

CASES: dict[str, Case] = {**administration.CASES}


def case(rpc: str) -> Callable[[Case], Case]:
    def register(prepare: Case) -> Case:
        CASES[rpc] = prepare
        return prepare

    return register


@case("CreateClass")
async def _create_class(school: School) -> Any:
    teacher = await school.teacher()

    async def count() -> int:
        listed = await teacher.classes.ListClasses(ListClassesRequest(user_id="me"), **teacher.auth)
        return len(listed.classes)

    return (teacher.classes.CreateClass, CreateClassRequest(title="Once"), teacher), count


async def _made_by(school: School) -> tuple[Person, Class]:
    teacher = await school.teacher()
    return teacher, await school.new_class(teacher)


@case("UpdateClass")
async def _update_class(school: School) -> Any:
    teacher, made = await _made_by(school)
    # With the etag that was read, a second effect would be refused.
    request = UpdateClassRequest(class_id=made.class_id, title="New", etag=made.etag)
    return (teacher.classes.UpdateClass, request, teacher), None


@case("ArchiveClass")
async def _archive_class(school: School) -> Any:
    admin, (_, made) = await school.admin(), await _made_by(school)
    return (admin.classes.ArchiveClass, ArchiveClassRequest(class_id=made.class_id), admin), None


@case("UnarchiveClass")
async def _unarchive_class(school: School) -> Any:
    admin, (_, made) = await school.admin(), await _made_by(school)
    await admin.classes.ArchiveClass(ArchiveClassRequest(class_id=made.class_id), **admin.auth)
    return (admin.classes.UnarchiveClass, UnarchiveClassRequest(class_id=made.class_id), admin), None


@case("DeleteClass")
async def _delete_class(school: School) -> Any:
    admin, (_, made) = await school.admin(), await _made_by(school)
    return (admin.classes.DeleteClass, DeleteClassRequest(class_id=made.class_id), admin), None


@case("UndeleteClass")
async def _undelete_class(school: School) -> Any:
    admin, (_, made) = await school.admin(), await _made_by(school)
    await admin.classes.DeleteClass(DeleteClassRequest(class_id=made.class_id), **admin.auth)
    return (admin.classes.UndeleteClass, UndeleteClassRequest(class_id=made.class_id), admin), None


@case("RotateJoinCode")
async def _rotate_join_code(school: School) -> Any:
    teacher, made = await _made_by(school)
    return (teacher.classes.RotateJoinCode, RotateJoinCodeRequest(class_id=made.class_id), teacher), None


@case("AddMembership")
async def _add_membership(school: School) -> Any:
    admin, (_, made) = await school.admin(), await _made_by(school)
    user_id = (await school.student()).tokens.user.user_id
    request = AddMembershipRequest(class_id=made.class_id, user_id=user_id)
    return (admin.classes.AddMembership, request, admin), None


async def _waiting(school: School) -> tuple[Person, dict[str, str]]:
    """A teacher, and somebody who waits to be let into their class."""
    teacher, made = await _made_by(school)
    policy = UpdateClassRequest(class_id=made.class_id, join_policy=JoinPolicy.JOIN_POLICY_APPROVAL)
    await teacher.classes.UpdateClass(policy, **teacher.auth)
    student = await school.student()
    await school.join(student, made)
    return teacher, {"class_id": made.class_id, "user_id": student.tokens.user.user_id}


@case("ApproveMembership")
async def _approve_membership(school: School) -> Any:
    teacher, waits = await _waiting(school)
    return (teacher.classes.ApproveMembership, ApproveMembershipRequest(**waits), teacher), None


@case("RejectMembership")
async def _reject_membership(school: School) -> Any:
    teacher, waits = await _waiting(school)
    return (teacher.classes.RejectMembership, RejectMembershipRequest(**waits), teacher), None


@case("ImportRoster")
async def _import_roster(school: School) -> Any:
    admin = await school.admin()
    packed = BytesIO()
    with ZipFile(packed, "w") as roster:
        versions = "manifest.version,1.0\noneroster.version,1.2\nfile.users,delta\n"
        roster.writestr("manifest.csv", f"propertyName,value\n{versions}")
        columns = "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName"
        roster.writestr("users.csv", f"{columns}\n{new_id()},active,,true,,Once,Only\n")
    # Applied twice, it would add nobody the second time.
    return (admin.classes.ImportRoster, ImportRosterRequest(archive=packed.getvalue()), admin), None


@case("JoinClass")
async def _join_class(school: School) -> Any:
    teacher, student = await school.teacher(), await school.student()
    made = await school.new_class(teacher)
    return (
        student.classes.JoinClass,
        JoinClassRequest(user_id="me", join_code=made.join_code),
        student,
    ), None


@case("LeaveClass")
async def _leave_class(school: School) -> Any:
    teacher, student = await school.teacher(), await school.student()
    made = await school.new_class(teacher)
    await school.join(student, made)
    request = LeaveClassRequest(class_id=made.class_id, user_id="me")
    return (student.classes.LeaveClass, request, student), None


@case("RemoveMembership")
async def _remove_membership(school: School) -> Any:
    teacher, student = await school.teacher(), await school.student()
    made = await school.new_class(teacher)
    await school.join(student, made)
    request = RemoveMembershipRequest(class_id=made.class_id, user_id=student.tokens.user.user_id)
    return (teacher.classes.RemoveMembership, request, teacher), None


@case("SetMembershipRole")
async def _set_membership_role(school: School) -> Any:
    teacher, student = await school.teacher(), await school.student()
    made = await school.new_class(teacher)
    await school.join(student, made)
    request = SetMembershipRoleRequest(
        class_id=made.class_id, user_id=student.tokens.user.user_id, role=ClassRole.CLASS_ROLE_TEACHER
    )
    return (teacher.classes.SetMembershipRole, request, teacher), None


@case("UpdateUser")
async def _update_user(school: School) -> Any:
    student = await school.student()
    users = student.users
    etag = student.tokens.user.etag
    # With the etag that was read, a second effect would be refused.
    return (
        users.UpdateUser,
        UpdateUserRequest(user_id="me", user=User(full_name="New"), etag=etag),
        student,
    ), None


@case("CompleteOnboarding")
async def _complete_onboarding(school: School) -> Any:
    student = await school.student()
    request = CompleteOnboardingRequest(user_id="me", age=9, grade=4, board="CBSE", time_zone="Asia/Kolkata")
    return (student.users.CompleteOnboarding, request, student), None


@case("UpdateSettings")
async def _update_settings(school: School) -> Any:
    student = await school.student()
    # With the etag of the defaults, a second effect would be refused.
    request = UpdateSettingsRequest(user_id="me", settings=UserSettings(time_zone="Asia/Kolkata"), etag="0")
    return (student.users.UpdateSettings, request, student), None


@case("CreateUser")
async def _create_user(school: School) -> Any:
    admin, email = await school.admin(), f"{new_id()}@example.org"

    async def count() -> int:
        return len((await admin.users.ListUsers(ListUsersRequest(identifier=email), **admin.auth)).users)

    student = GlobalRole.GLOBAL_ROLE_STUDENT
    request = CreateUserRequest(email=email, display_name="New", role=student)
    return (admin.users.CreateUser, request, admin), count


@case("DeleteUser")
async def _delete_user(school: School) -> Any:
    admin, student = await school.admin(), await school.student()
    request = DeleteUserRequest(user_id=student.tokens.user.user_id, etag=student.tokens.user.etag)
    return (admin.users.DeleteUser, request, admin), None


@case("UndeleteUser")
async def _undelete_user(school: School) -> Any:
    admin, student = await school.admin(), await school.student()
    await student.users.DeleteUser(DeleteUserRequest(user_id="me"), **student.auth)
    request = UndeleteUserRequest(user_id=student.tokens.user.user_id)
    return (admin.users.UndeleteUser, request, admin), None


@case("SetGlobalRole")
async def _set_global_role(school: School) -> Any:
    admin, student = await school.admin(), await school.student()
    teacher = GlobalRole.GLOBAL_ROLE_TEACHER
    request = SetGlobalRoleRequest(user_id=student.tokens.user.user_id, role=teacher)
    return (admin.users.SetGlobalRole, request, admin), None


@case("DeactivateUser")
async def _deactivate_user(school: School) -> Any:
    admin, student = await school.admin(), await school.student()
    request = DeactivateUserRequest(user_id=student.tokens.user.user_id)
    return (admin.users.DeactivateUser, request, admin), None


@case("ReactivateUser")
async def _reactivate_user(school: School) -> Any:
    admin, student = await school.admin(), await school.student()
    out = DeactivateUserRequest(user_id=student.tokens.user.user_id)
    await admin.users.DeactivateUser(out, **admin.auth)
    request = ReactivateUserRequest(user_id=student.tokens.user.user_id)
    return (admin.users.ReactivateUser, request, admin), None


@case("EraseUser")
async def _erase_user(school: School) -> Any:
    admin, student = await school.admin(), await school.student()
    request = EraseUserRequest(user_id=student.tokens.user.user_id, confirmation="ERASE")
    return (admin.users.EraseUser, request, admin), None


@case("CreateContent")
async def _create_content(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)

    async def count() -> int:
        listed = await teacher.contents.ListDrafts(ListDraftsRequest(class_id=made.class_id), **teacher.auth)
        return len(listed.contents)

    request = CreateContentRequest(class_id=made.class_id, title="Once", body=Body(module=Body.Module()))
    return (teacher.contents.CreateContent, request, teacher), count


@case("UpdateDraft")
async def _update_draft(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)
    lesson = await school.lesson(teacher, made, publish=False)
    request = UpdateDraftRequest(
        class_id=made.class_id, content_id=lesson.content_id, title="New", etag=lesson.etag
    )
    return (teacher.contents.UpdateDraft, request, teacher), None


@case("PublishContent")
async def _publish(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)
    lesson = await school.lesson(teacher, made, publish=False)
    request = PublishContentRequest(class_id=made.class_id, content_id=lesson.content_id)
    return (teacher.contents.PublishContent, request, teacher), None


@case("UnpublishContent")
async def _unpublish(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)
    lesson = await school.lesson(teacher, made)
    request = UnpublishContentRequest(class_id=made.class_id, content_id=lesson.content_id)
    return (teacher.contents.UnpublishContent, request, teacher), None


@case("UploadMaterial")
async def _upload(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)

    async def count() -> int:
        listed = await teacher.contents.ListDrafts(ListDraftsRequest(class_id=made.class_id), **teacher.auth)
        return len(listed.contents)

    request = UploadMaterialRequest(class_id=made.class_id, file_name="a.pdf", file=PDF)
    return (teacher.materials.UploadMaterial, request, teacher), count


@case("RetryProcessing")
async def _retry(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)
    material = await school.material(teacher, made, " \n")
    request = RetryProcessingRequest(class_id=made.class_id, material_id=material.material_id)
    return (teacher.materials.RetryProcessing, request, teacher), None


@case("AttachMaterial")
async def _attach(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)
    lesson = await school.lesson(teacher, made)
    material = await school.material(teacher, made, "A text.")
    request = AttachMaterialRequest(
        class_id=made.class_id, content_id=lesson.content_id, material_id=material.material_id
    )
    return (teacher.materials.AttachMaterial, request, teacher), None


@case("DetachMaterial")
async def _detach(school: School) -> Any:
    teacher = await school.teacher()
    made = await school.new_class(teacher)
    lesson = await school.taught(teacher, made, "A text.")
    [material_id] = (await _draft(teacher, made.class_id, lesson.content_id)).material_ids
    request = DetachMaterialRequest(
        class_id=made.class_id, content_id=lesson.content_id, material_id=material_id
    )
    return (teacher.materials.DetachMaterial, request, teacher), None


async def _draft(teacher: Person, class_id: str, content_id: str) -> Any:
    listed = await teacher.contents.ListDrafts(ListDraftsRequest(class_id=class_id), **teacher.auth)
    [content] = [content for content in listed.contents if content.content_id == content_id]
    return content


@case("CreateSession")
async def _create_session(school: School) -> Any:
    student = await school.student()

    async def count() -> int:
        listed = await student.sessions.ListSessions(ListSessionsRequest(user_id="me"), **student.auth)
        return len(listed.sessions)

    return (student.sessions.CreateSession, CreateSessionRequest(user_id="me"), student), count


async def _session(student: Person) -> Session:
    return await student.sessions.CreateSession(CreateSessionRequest(user_id="me"), **student.auth)


@case("ApplyAction")
async def _apply(school: School) -> Any:
    student = await school.student()
    session = await _session(student)
    request = ApplyActionRequest(
        user_id="me", session_id=session.session_id, action=Action.ACTION_GENERATE_PLAN, state_version=1
    )
    return (student.sessions.ApplyAction, request, student), None


@case("AppendEvents")
async def _append(school: School) -> Any:
    student = await school.student()
    session = await _session(student)

    async def count() -> int:
        request = ListEventsRequest(user_id="me", session_id=session.session_id)
        return len((await student.events.ListEvents(request, **student.auth)).events)

    event = Event(client_event_id=new_id(), kind=EventKind.EVENT_KIND_CHECK)
    request = AppendEventsRequest(user_id="me", session_id=session.session_id, events=[event])
    return (student.events.AppendEvents, request, student), count


@case("CreateChat")
async def _create_chat(school: School) -> Any:
    student = await school.student()

    async def count() -> int:
        listed = await student.chats.ListChats(ListChatsRequest(user_id="me"), **student.auth)
        return len(listed.chats)

    request = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL)
    return (student.chats.CreateChat, request, student), count


async def _chat(student: Person) -> Chat:
    request = CreateChatRequest(user_id="me", source=SourceMode.SOURCE_MODE_GENERAL)
    return await student.chats.CreateChat(request, **student.auth)


@case("Ask")
async def _ask(school: School) -> Any:
    student = await school.student()
    chat = await _chat(student)

    async def count() -> int:
        request = ListMessagesRequest(user_id="me", chat_id=chat.chat_id)
        return len((await student.chats.ListMessages(request, **student.auth)).messages) // 2

    return (student.chats.Ask, AskRequest(user_id="me", chat_id=chat.chat_id, text="Why?"), student), count


@case("StopAnswer")
async def _stop(school: School) -> Any:
    student = await school.student()
    chat = await _chat(student)
    request = AskRequest(user_id="me", chat_id=chat.chat_id, text="Why?")
    async for step in student.chats.Ask(request, **student.auth):
        if step.HasField("begun"):
            message_id = step.begun.message_id
    stop = StopAnswerRequest(user_id="me", chat_id=chat.chat_id, message_id=message_id)
    return (student.chats.StopAnswer, stop, student), None


def test_every_write_has_its_case() -> None:
    # Their answers are secret and never stored; they are idempotent by rules of their own, tested with
    # identity_service.
    secret = {"SignUp", "SignIn", "SignInWithIdToken", "RedeemOneTimeCode"}
    assert _writes() - secret == set(CASES)


@pytest.mark.parametrize("rpc", sorted(CASES))
async def test_twenty_at_once_have_one_effect_and_equal_answers(school: School, rpc: str) -> None:
    (method, request, person), count = await CASES[rpc](school)
    request.request_id = new_id()
    before = await count() if count else 0
    # The last time comes below.
    times = min(TIMES, LIMITS.get(rpc, TIMES + 1) - 1)
    answers = await asyncio.gather(*(_send(method, request, person) for _ in range(times)))
    assert len({str(answer) for answer in answers}) == 1
    if count:
        assert await count() == before + 1
    again = await _send(method, request, person)
    assert str(again) == str(answers[0])


async def test_the_same_id_for_another_request_is_refused(school: School) -> None:
    student = await school.student()
    request = CreateSessionRequest(user_id="me", request_id=new_id())
    await student.sessions.CreateSession(request, **student.auth)
    request.goal.text = "something else"
    denied = await refused(student.sessions.CreateSession(request, **student.auth))
    assert (denied.code, denied.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def _send(method: Callable[..., Any], request: Any, person: Person) -> Any:
    """The answer of one call, made as clients make it: one that ended a right is repeated with a new token."""
    try:
        return await _answer(method, request, person)
    except grpc.aio.AioRpcError as error:
        if refusal(error).reason != "RIGHTS_CHANGED":
            raise
    await person.refresh()
    return await _answer(method, request, person)


async def _answer(method: Callable[..., Any], request: Any, person: Person) -> Any:
    """A message, or all messages of a stream."""
    if isinstance(request, UploadMaterialRequest):
        return await method(iter([request]), **person.auth)
    call = method(request, **person.auth)
    if isinstance(request, AskRequest):
        return [step async for step in call]
    return await call


def _writes() -> set[str]:
    """Every routed RPC whose request has a request_id."""
    files = FileDescriptorSet.FromString(descriptors().read_bytes()).file
    remembering = {
        f".{file.package}.{message.name}"
        for file in files
        for message in file.message_type
        if any(field.name == "request_id" for field in message.field)
    }
    routed = {rpc.selector for rpc in routed_rpcs(descriptors())}
    return {
        method.name
        for file in files
        for service in file.service
        for method in service.method
        if method.input_type in remembering and f"{file.package}.{service.name}.{method.name}" in routed
    }
