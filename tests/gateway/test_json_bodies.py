"""JSON bodies: nothing is accepted that the service does not learn of."""

import json
import uuid
from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest
import pytest_asyncio

from meno.access.v1.access_pb2 import GlobalRole
from tests.gateway.gateway_client import GatewayClient, authorized, reason, start_gateway

MAX_BODY_BYTES = 8 * 1024 * 1024


@pytest_asyncio.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayClient]:
    """A gateway behind a proxy, so that tests can choose their address."""
    async with start_gateway(tmp_path_factory.mktemp("gateway"), trusted_proxies=1) as started:
        yield started


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"title": "A",}', "expected a name in double quotes at line 1, column 15"),
        ('{title: "A"}', "expected a name in double quotes at line 1, column 2"),
        ("{'title': 'A'}", "expected a name in double quotes at line 1, column 2"),
        ('{\n  "title": "A"\n  "x": 1}', "expected `,` or `}` at line 3, column 3"),
        ('{"title" "A"}', "expected `:` at line 1, column 10"),
        ('{"title": }', "expected a value at line 1, column 11"),
        ('{"title": A}', "expected a value at line 1, column 11"),
        ('{"title": 01}', "expected a value at line 1, column 11"),
        ('{"title": 1.}', "expected a value at line 1, column 11"),
        ('{"title": NaN}', "expected a value at line 1, column 11"),
        ('{"title": +1}', "expected a value at line 1, column 11"),
        ('{"title": [1, 2,]}', "expected a value at line 1, column 17"),
        ('{"title": [1 2]}', "expected `,` or `]` at line 1, column 14"),
        ('{"title": "A"', "expected `,` or `}` at line 1, column 14"),
        ('{"title": "A', "a string does not end at line 1, column 13"),
        ('{"title": "A\nB"}', "a string contains a control character at line 1, column 13"),
        ('{"title": "\\x41"}', "a string contains an unknown escape sequence at line 1, column 12"),
        ('{"title": "\\u12"}', "a string contains an unknown escape sequence at line 1, column 12"),
        ('{"title": "A"} {}', "expected the end at line 1, column 16"),
        ('{"title": "A"} // a', "expected the end at line 1, column 16"),
        (" ", "expected a value at line 1, column 2"),
        ('{"title": ' + "[" * 100, "more than 64 levels at line 1, column 74"),
    ],
)
async def test_text_that_is_not_json_is_rejected(
    http: httpx.AsyncClient, token: str, body: str, problem: str
) -> None:
    for content_type in (
        "",
        "application/json",
        "text/plain",
        "application/grpcx",
        "application/grpc-web-json",
    ):
        headers = {**authorized(token), "content-type": content_type}
        reply = await http.post("/v1/classes", content=body, headers=headers)
        assert (reply.status_code, reason(reply)) == (400, "REQUEST_MALFORMED")
        assert reply.json()["message"].startswith(f"The body is not JSON: {problem} (see /docs")


async def test_fields_that_the_contract_does_not_have_are_named(http: httpx.AsyncClient, token: str) -> None:
    body: dict[str, object] = {
        "titel": "A",
        "title": "A",
        "request_id": "1",
        "a.b,c\n": {"x": 1},
        "ö": [],
        "$": None,
    }
    reply = await http.post("/v1/classes", json=body, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (400, "FIELD_INVALID")
    found = {one["field"]: one["description"] for one in violations_in(reply)}
    assert [*found] == ["titel", "a.b,c\\n", "ö", "$"]
    assert found["titel"] == "is not a field of CreateClassRequest; did you mean title?"


async def test_fields_of_nested_messages_are_checked_too(http: httpx.AsyncClient, token: str) -> None:
    path = f"/v1/users/me/sessions/{uuid.uuid4()}/events:append"
    events = [{"kind": "EVENT_KIND_PRESENT", "payload": {"any": {"thing": 1}}}, {"kindd": 1, "actorId": "x"}]
    reply = await http.post(path, json={"events": events}, headers=authorized(token))
    assert [one["field"] for one in violations_in(reply)] == ["events.kindd", "events.actorId"]


async def test_both_names_of_a_field_and_every_form_of_json_are_accepted(
    http: httpx.AsyncClient, token: str
) -> None:
    for body in (
        '{"title":"A","requestId":"%s"}',
        '{"\\u0074itle":"A","request\\u005fid":"%s"}',
        ' {\t"title" : "\\u0041 \\"\\\\\\/",\r\n "request_id" : "%s" } \n',
    ):
        reply = await http.post("/v1/classes", content=body % uuid.uuid4(), headers=authorized(token))
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("value", ["TEACHER", "GLOBAL_ROLE_OWNER", "7", 1.5, True])
async def test_an_unknown_value_of_an_enum_is_answered_with_all_values(
    http: httpx.AsyncClient, value: object
) -> None:
    reply = await http.post("/v1/auth:signUp", json={"role": value})
    assert (reply.status_code, reason(reply)) == (400, "REQUEST_MALFORMED")
    assert reply.json()["message"] == (
        f"role: invalid value {json.dumps(value)}; use one of"
        " GLOBAL_ROLE_UNASSIGNED, GLOBAL_ROLE_STUDENT, GLOBAL_ROLE_TEACHER, GLOBAL_ROLE_ADMIN"
    )


async def test_an_unknown_value_in_a_query_is_answered_with_all_values(
    http: httpx.AsyncClient, token: str
) -> None:
    path = f"/v1/classes/{uuid.uuid4()}/memberships?status=LEAVING"
    reply = await http.get(path, headers=authorized(token))
    assert (reply.status_code, reason(reply)) == (400, "REQUEST_MALFORMED")
    assert "; use one of MEMBERSHIP_STATUS_ACTIVE, " in reply.json()["message"]


async def test_an_unknown_or_excluded_number_of_an_enum_is_answered_with_the_permitted_values(
    http: httpx.AsyncClient,
) -> None:
    for number in (GlobalRole.GLOBAL_ROLE_UNASSIGNED, GlobalRole.GLOBAL_ROLE_ADMIN, 77, -1):
        reply = await http.post("/v1/auth:signUp", json={"role": number})
        found = {one["field"]: one["description"] for one in violations_in(reply)}
        assert found["role"] == "must be one of GLOBAL_ROLE_STUDENT, GLOBAL_ROLE_TEACHER"


async def test_a_caller_cannot_replace_the_names_of_the_fields(http: httpx.AsyncClient, token: str) -> None:
    headers = {**authorized(token), "meno-json-fields": "title"}
    body = {"title": "A", "request_id": str(uuid.uuid4()), "other": 1}
    reply = await http.post("/v1/classes", json=body, headers=headers)
    assert [one["field"] for one in violations_in(reply)] == ["other"]


async def test_the_names_of_the_fields_fit_beside_the_longest_headers(
    gateway: GatewayClient, http: httpx.AsyncClient, token: str
) -> None:
    headers = {**authorized(token), "x-filler": "x" * (29 * 1024 - len(token))}
    body = {f"unknown_field_{number}": 1 for number in range(1000)}
    reply = await http.post("/v1/classes", json=body, headers=headers)
    assert (reply.status_code, reason(reply)) == (400, "FIELD_INVALID")


@pytest.mark.parametrize(
    "start",
    [
        '{"a":[' + "1," * 400_000,
        '{"' + "a" * 4_000_000 + '":{' + '"b":1,' * 400_000,
        '{"a":{' * 60 + '"b":1,' * 400_000,
        '{"' + '":{"'.join("x" * 100_000 for _ in range(60)) + '":1',
        '{"a":"' + "\\n" * 4_000_000,
        '{"a":"' + '\\"' * 4_000_000,
        " " * 8_000_000,
        "{" + "".join(f'"{number}":1,' for number in range(400_000)),
        "[" * 8_000_000,
        '{"a":' + "9" * 8_000_000 + "}",
        "\n" * 8_000_000 + "x",
    ],
)
async def test_the_largest_bodies_are_answered(
    gateway: GatewayClient, http: httpx.AsyncClient, token: str, start: str
) -> None:
    # The address of another test would exceed its limit.
    headers = {**authorized(token), "x-forwarded-for": f"2001:db8:3:{uuid.uuid4().hex[:4]}::1"}
    reply = await http.post("/v1/classes", content=start[:MAX_BODY_BYTES], headers=headers)
    assert (reply.status_code, reason(reply)) == (400, "REQUEST_MALFORMED")


def violations_in(reply: httpx.Response) -> list[dict[str, str]]:
    """Returns the field violations of a JSON error."""
    assert reply.status_code == 400, reply.text
    [found] = [one for one in reply.json()["details"] if one["@type"].endswith("BadRequest")]
    return list(found["fieldViolations"])
