"""Login names in all scripts, and names that other users see, in every RPC that sets them."""

import unicodedata
import uuid
from collections.abc import Awaitable

import pytest
from google.rpc.error_details_pb2 import BadRequest

from chassis.testing import RpcFailure, bearer, expect_error
from identity_service.tests.conftest import PASSWORD, Identity
from meno.access.v1.access_pb2 import GlobalRole
from meno.identity.v1.auth_service_pb2 import (
    LinkCredentialsRequest,
    RedeemOneTimeCodeRequest,
    SignInAsGuestRequest,
    SignInRequest,
    SignInWithIdTokenRequest,
    SignUpRequest,
)
from meno.identity.v1.class_service_pb2 import CreateClassRequest, UpdateClassRequest
from meno.identity.v1.resources_pb2 import Class, User
from meno.identity.v1.user_service_pb2 import (
    CompleteOnboardingRequest,
    CreateUserRequest,
    UpdateUserRequest,
)

SCRIPTS = ["आदित्य", "கார்த்திக்", "সৌরভ", "สมชาย.ดี", "مُحمد", "דוד.לוי", "王小明", "İbrahim", "andre\u0301"]
STUDENT = GlobalRole.GLOBAL_ROLE_STUDENT


def violations(error: RpcFailure) -> list[tuple[str, str]]:
    return [(one.field, one.description) for one in error.detail(BadRequest).field_violations]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_login_name_in_any_script_signs_in_in_both_normal_forms(shared: Identity, name: str) -> None:
    name += uuid.uuid4().hex[:8]
    request = SignUpRequest(
        login_name=unicodedata.normalize("NFD", name), display_name=name, password=PASSWORD
    )
    user = (await shared.auth.SignUp(request)).user
    assert user.login_name == unicodedata.normalize("NFC", name)
    for form in ("NFC", "NFD"):
        sign_in = SignInRequest(identifier=unicodedata.normalize(form, name), password=PASSWORD)
        assert (await shared.auth.SignIn(sign_in)).user.user_id == user.user_id


async def test_all_ways_to_set_a_login_name_store_the_same_form(shared: Identity) -> None:
    admin, names = await shared.sign_up_admin(), [f"e\u0301ve{uuid.uuid4().hex[:8]}" for _ in range(2)]
    linked = await shared.auth.LinkCredentials(
        LinkCredentialsRequest(user_id="me", login_name=names[0]), **(await shared.sign_up()).auth
    )
    created = await shared.users.CreateUser(
        CreateUserRequest(
            login_name=names[1], email=f"{uuid.uuid4().hex}@b.example", display_name="E", role=STUDENT
        ),
        **admin.auth,
    )
    assert [linked.login_name, created.login_name] == [name.replace("e\u0301", "é") for name in names]


@pytest.mark.parametrize(
    "name",
    ["\u0301ann", "1\u0301ann", "an n", "ann@b.example", "-ann", "ann\u034f", "\u3164" * 3, "ann\ufe0f"],
)
async def test_a_login_name_with_other_characters_is_refused_with_the_rule(
    shared: Identity, name: str
) -> None:
    request = SignUpRequest(login_name=name, display_name="Ann", password=PASSWORD)
    error = await expect_error(shared.auth.SignUp(request))
    rule = "must consist of letters, digits and . _ - and begin with a letter or a digit"
    assert violations(error) == [("login_name", rule)]


async def test_the_length_of_a_login_name_is_that_of_its_composed_form(shared: Identity) -> None:
    request = SignUpRequest(login_name="e\u0301e", display_name="Ann", password=PASSWORD)
    error = await expect_error(shared.auth.SignUp(request))
    assert violations(error) == [("login_name", "must have 3 to 64 characters")]


@pytest.mark.parametrize("name", ["\u3164", "\u2800\u200b", "Ann\nIgnore the above", "Ann\u202etxt.exe"])
async def test_a_name_that_others_see_must_be_visible_and_on_one_line(shared: Identity, name: str) -> None:
    teacher, admin = await shared.sign_up_teacher(), await shared.sign_up_admin()
    made = await shared.classes.CreateClass(CreateClassRequest(title="Algebra"), **teacher.auth)
    await shared.refresh(teacher)
    onboarding = CompleteOnboardingRequest(user_id="me", age=9, grade=4, board="CBSE")
    onboarding.display_name = name
    calls: dict[str, list[Awaitable[object]]] = {
        "display_name": [
            shared.auth.SignUp(
                SignUpRequest(login_name=uuid.uuid4().hex, display_name=name, password=PASSWORD)
            ),
            shared.users.CreateUser(
                CreateUserRequest(email="a@b.example", display_name=name, role=STUDENT), **admin.auth
            ),
            shared.users.CompleteOnboarding(onboarding, **teacher.auth),
            shared.auth.SignInAsGuest(SignInAsGuestRequest(display_name=name)),
            shared.auth.SignInWithIdToken(SignInWithIdTokenRequest(id_token="a.b.c", display_name=name)),
            shared.auth.RedeemOneTimeCode(
                RedeemOneTimeCodeRequest(address="a@b.example", code="123456", display_name=name)
            ),
            shared.auth.LinkCredentials(
                LinkCredentialsRequest(user_id="me", login_name=uuid.uuid4().hex, display_name=name),
                **teacher.auth,
            ),
        ],
        "title": [shared.classes.CreateClass(CreateClassRequest(title=name), **teacher.auth)],
        "class_info.title": [
            shared.classes.UpdateClass(
                UpdateClassRequest(class_id=made.class_id, class_info=Class(title=name)), **teacher.auth
            )
        ],
    }
    for field in ("display_name", "nickname", "full_name", "board", "school_name"):
        update = UpdateUserRequest(user_id="me")
        setattr(update.user, field, name)
        calls[f"user.{field}"] = [shared.users.UpdateUser(update, **teacher.auth)]
    for field, refused in calls.items():
        for call in refused:
            error = await expect_error(call)
            assert (error.reason, {path for path, _ in violations(error)}) == ("FIELD_INVALID", {field})


async def test_invisible_characters_at_the_ends_do_not_make_two_names(shared: Identity) -> None:
    person = await shared.sign_up()
    renamed = User(display_name=" Ann\u200b ", nickname="\ufeffAnnie\u2060")
    user = await shared.users.UpdateUser(UpdateUserRequest(user_id="me", user=renamed), **person.auth)
    assert (user.display_name, user.nickname) == ("Ann", "Annie")
    guest = await shared.auth.SignInAsGuest(SignInAsGuestRequest(display_name=" Ann\u200b "))
    assert guest.user.display_name == "Ann"
    request = LinkCredentialsRequest(
        user_id="me", login_name=uuid.uuid4().hex, display_name="\ufeffAnnie\u2060"
    )
    linked = await shared.auth.LinkCredentials(request, **bearer(guest.access_token))
    assert linked.display_name == "Annie"
