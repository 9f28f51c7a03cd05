"""The contracts follow every rule, and each rule finds a violation."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from deploy.gateway.contracts import descriptors
from meno.access.v1 import access_pb2
from meno.access.v1.access_pb2 import Allow, ClassRole
from tests.contracts import rules
from tests.contracts.rpcs import Declared, rules_of
from tests.contracts.rules import RULES, Rule

GET_SESSION = "session.v1.SessionService.GetSession"
LIST = "session.v1.SessionService.ListSessions"
CREATE = "session.v1.SessionService.CreateSession"
UPDATE = "identity.v1.UserService.UpdateUser"
UPDATE_DRAFT = "content.v1.ContentService.UpdateDraft"
SIGN_IN = "identity.v1.AuthService.SignIn"
FEED = "access.v1.AccountFeedService.WatchAccountEvents"
RECORD = "access.v1.AuditService.RecordAuditEntries"
MODEL_TEMPERATURE = "identity.v1.CreateModelRequest.temperature"

Change = Callable[[Declared], Any]


def allow(declared: Declared, rpc: str, **grant: Any) -> None:
    """Replaces the grants of an RPC by one grant."""
    options = declared[rpc].options
    options.ClearExtension(access_pb2.allow)
    options.Extensions[access_pb2.allow].append(Allow(**grant))


def route(declared: Declared, rpc: str, **rule: str) -> None:
    """Replaces the HTTP mapping of an RPC."""
    options = declared[rpc].options
    options.ClearExtension(annotations_pb2.http)
    for name, value in rule.items():
        setattr(options.Extensions[annotations_pb2.http], name, value)


def alter(declared: Declared, field: str, **properties: Any) -> None:
    for name, value in properties.items():
        setattr(declared[field], name, value)


def add(
    declared: Declared, message: str, name: str, kind: "Field.Type.ValueType" = Field.TYPE_STRING
) -> None:
    declared[message].field.add(name=name, number=99, type=kind, label=Field.LABEL_OPTIONAL)


def drop(declared: Declared, field: str) -> None:
    message, _, name = field.rpartition(".")
    fields = declared[message].field
    fields.remove(next(one for one in fields if one.name == name))


def validate(declared: Declared, field: str) -> Any:
    """Removes the validation rules of a field and returns the empty rules."""
    declared[field].options.ClearExtension(validate_pb2.field)
    return rules_of(declared[field])


def comment(declared: Declared, text: str, replacement: str) -> None:
    """Replaces the comments that equal `text`."""
    for file in declared.files:
        for place in file.source_code_info.location:
            if place.leading_comments.strip() == text:
                place.leading_comments = replacement


def unmark(declared: Declared, field: str) -> None:
    declared[field].options.ClearExtension(field_behavior_pb2.field_behavior)


VIOLATIONS: Mapping[Rule, list[tuple[str, Change]]] = {
    rules.every_rpc_has_a_grant: [
        (GET_SESSION, lambda d: d[GET_SESSION].options.ClearExtension(access_pb2.allow))
    ],
    rules.every_grant_is_valid: [
        (GET_SESSION, lambda d: allow(d, GET_SESSION)),
        (GET_SESSION, lambda d: allow(d, GET_SESSION, public=True, owner="user_id")),
        (GET_SESSION, lambda d: allow(d, GET_SESSION, owner="user_id", guest=True)),
        (
            GET_SESSION,
            lambda d: allow(d, GET_SESSION, owner="user_id", at_least=ClassRole.CLASS_ROLE_TEACHER),
        ),
        (FEED, lambda d: allow(d, FEED, service="mail_service")),
    ],
    rules.identity_fields_are_singular_strings: [
        (GET_SESSION, lambda d: allow(d, GET_SESSION, owner="learner_id")),
        (GET_SESSION, lambda d: alter(d, "session.v1.GetSessionRequest.user_id", label=Field.LABEL_REPEATED)),
        (GET_SESSION, lambda d: alter(d, "session.v1.GetSessionRequest.user_id", type=Field.TYPE_BYTES)),
        (GET_SESSION, lambda d: alter(d, "session.v1.GetSessionRequest.user_id", oneof_index=0)),
    ],
    rules.everything_is_commented: [
        ("chat.v1.Chat.mood", lambda d: add(d, "chat.v1.Chat", "mood")),
        ("chat.v1.Chat.title", lambda d: comment(d, "The title, at most 200 characters.", "The title.")),
        (
            "chat.v1.Chat.title",
            lambda d: comment(d, "The title, at most 200 characters.", "What others see of it"),
        ),
        ("content.v1.ContentBody.Lesson.mood", lambda d: add(d, "content.v1.ContentBody.Lesson", "mood")),
        ("chat.v1.ChatService.Sing", lambda d: d["chat.v1.ChatService"].method.add(name="Sing")),
        (
            "session.v1.SessionPhase.SESSION_PHASE_LOST",
            lambda d: d["session.v1.SessionPhase"].value.add(name="SESSION_PHASE_LOST", number=99),
        ),
    ],
    rules.writes_have_a_request_id: [
        (CREATE, lambda d: drop(d, "session.v1.CreateSessionRequest.request_id")),
        (CREATE, lambda d: validate(d, "session.v1.CreateSessionRequest.request_id")),
        (GET_SESSION, lambda d: add(d, "session.v1.GetSessionRequest", "request_id")),
        ("identity.v1.AuthService.SignOut", lambda d: add(d, "identity.v1.SignOutRequest", "request_id")),
    ],
    rules.lists_have_pages: [
        (LIST, lambda d: drop(d, "session.v1.ListSessionsRequest.page_size")),
        (LIST, lambda d: drop(d, "session.v1.ListSessionsRequest.page_token")),
        (LIST, lambda d: drop(d, "session.v1.ListSessionsResponse.next_page_token")),
        (LIST, lambda d: drop(d, "session.v1.ListSessionsResponse.sessions")),
        (GET_SESSION, lambda d: add(d, "session.v1.GetSessionRequest", "page_token")),
    ],
    rules.updates_have_one_form: [
        (UPDATE_DRAFT, lambda d: drop(d, "content.v1.UpdateDraftRequest.etag")),
        (UPDATE_DRAFT, lambda d: drop(d, "content.v1.Content.etag")),
        (UPDATE, lambda d: drop(d, "identity.v1.UpdateUserRequest.update_mask")),
        (UPDATE, lambda d: drop(d, "identity.v1.UpdateUserRequest.user")),
        (UPDATE, lambda d: validate(d, "identity.v1.UpdateUserRequest.update_mask")),
    ],
    rules.routed_rpcs_have_an_http_path: [
        (GET_SESSION, lambda d: d[GET_SESSION].options.ClearExtension(annotations_pb2.http)),
        (FEED, lambda d: route(d, FEED, get="/v1/accounts")),
    ],
    rules.http_verbs_match_the_name: [
        (
            GET_SESSION,
            lambda d: route(d, GET_SESSION, post="/v1/users/{user_id}/sessions/{session_id}", body="*"),
        ),
        (CREATE, lambda d: route(d, CREATE, post="/v1/users/{user_id}/sessions")),
        (UPDATE, lambda d: route(d, UPDATE, put="/v1/users/{user_id}", body="*")),
    ],
    rules.paths_contain_the_identity_fields: [
        (GET_SESSION, lambda d: route(d, GET_SESSION, get="/v1/sessions/{session_id}")),
        (GET_SESSION, lambda d: route(d, GET_SESSION, get="/v1/users/{user_id}/sessions/{id}")),
        (GET_SESSION, lambda d: route(d, GET_SESSION, get="/v1/users/{user_id}/sessions/{user_id}")),
    ],
    rules.http_routes_are_unique: [
        (GET_SESSION, lambda d: route(d, GET_SESSION, get="/v1/users/{user_id}/chats/{session_id}"))
    ],
    rules.request_fields_are_required_or_optional: [
        (GET_SESSION, lambda d: unmark(d, "session.v1.GetSessionRequest.session_id"))
    ],
    rules.request_fields_are_bounded: [
        (CREATE, lambda d: validate(d, "session.v1.Goal.text")),
        (
            "session.v1.EventService.AppendEvents",
            lambda d: validate(d, "session.v1.AppendEventsRequest.events"),
        ),
        (LIST, lambda d: validate(d, "session.v1.ListSessionsRequest.page_size")),
        (RECORD, lambda d: validate(d, "access.v1.AuditEntry.details")),
        (
            RECORD,
            lambda d: setattr(
                rules_of(d["access.v1.AuditEntry.details"]).map.values.string, "pattern", "^[a-z]*$"
            ),
        ),
        ("identity.v1.AdminService.CreateModel", lambda d: validate(d, MODEL_TEMPERATURE)),
        (CREATE, lambda d: validate(d, "session.v1.CreateSessionRequest.mode")),
        (
            SIGN_IN,
            lambda d: setattr(
                validate(d, "identity.v1.SignInRequest.identifier").string, "pattern", "^[a-z]+$"
            ),
        ),
    ],
    rules.output_fields_are_output_only: [(UPDATE, lambda d: unmark(d, "identity.v1.User.update_time"))],
    rules.only_secret_rpcs_transport_secrets: [
        (SIGN_IN, lambda d: d[SIGN_IN].options.ClearExtension(access_pb2.secret)),
        ("identity.v1.UserService.GetUser", lambda d: add(d, "identity.v1.User", "password_hash")),
        (
            "content.v1.ContentService.ListContents",
            lambda d: add(d, "content.v1.ContentBody.Lesson", "hidden_prompt"),
        ),
    ],
    rules.public_secret_rpcs_are_rate_limited: [
        (SIGN_IN, lambda d: d[SIGN_IN].options.ClearExtension(access_pb2.limit))
    ],
    rules.streams_have_done_and_error: [
        ("chat.v1.ChatService.Ask", lambda d: drop(d, "chat.v1.AnswerStep.done")),
        (FEED, lambda d: drop(d, "access.v1.WatchAccountEventsResponse.error")),
        (
            "chat.v1.ChatService.Ask",
            lambda d: alter(d, "chat.v1.AnswerStep.error", type_name=".meno.chat.v1.Message"),
        ),
    ],
    rules.error_reasons_have_a_status_code: [
        (
            "chat.v1.ErrorReason.ERROR_REASON_NOT_CLASS_MEMBER",
            lambda d: d["chat.v1.ErrorReason.ERROR_REASON_NOT_CLASS_MEMBER"].options.ClearExtension(
                access_pb2.code
            ),
        )
    ],
    rules.no_field_is_a_python_keyword: [("chat.v1.Chat.from", lambda d: add(d, "chat.v1.Chat", "from"))],
}
"""Rule to changes that violate it, each with the name that the rule then yields."""


@pytest.fixture
def declared() -> Declared:
    return Declared(descriptors().read_bytes())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_contracts_follow_the_rule(rule: Rule, declared: Declared) -> None:
    assert [*rule(declared)] == [], rule.__doc__


@pytest.mark.parametrize(
    ("rule", "name", "change"),
    [
        pytest.param(rule, *one, id=f"{rule.__name__}-{one[0]}")
        for rule, changes in VIOLATIONS.items()
        for one in changes
    ],
)
def test_a_violation_is_found(declared: Declared, rule: Rule, name: str, change: Change) -> None:
    change(declared)
    assert [found for found in rule(declared) if found.startswith(f"meno.{name}")]


def test_every_rule_has_a_violation() -> None:
    assert VIOLATIONS.keys() == {*RULES}


def test_every_exception_names_an_existing_rpc(declared: Declared) -> None:
    assert rules.IDEMPOTENT_WITHOUT_REQUEST_ID.keys() <= {rpc.name for rpc in declared.rpcs()}
