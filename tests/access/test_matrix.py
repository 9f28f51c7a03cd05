"""Calls every routed RPC as every persona on every target, through the gateway and directly.

The RPCs, their grants and their requests come from the compiled contracts, so the matrix contains each new
RPC as soon as it is declared. `oracle` decides whether a call must be rejected. The rules below and the
exceptions in `expectations` define the outcome of admitted calls.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from google.protobuf.message import Message

from chassis.access import describe_callers
from deploy.gateway.contracts import descriptors
from tests.access import expectations, oracle, requests
from tests.access.calls import Outcome, call
from tests.access.dataset import Dataset, marker
from tests.access.deployment import Deployment
from tests.access.expectations import ADMITTED, NOT_FOUND, OK
from tests.access.oracle import Persona
from tests.access.targets import ID_FIELDS, OTHERS, OWN, Target, list_targets, resolve_ids, resource_fields
from tests.contracts.rpcs import Declared, Rpc

RPCS = {rpc.name.removeprefix("meno."): rpc for rpc in Declared(descriptors().read_bytes()).rpcs()}
ROUTED = {name: rpc for name, rpc in RPCS.items() if rpc.routed}
GATEWAY, DIRECT = PATHS = ("gateway", "direct")
READS = ("Get", "BatchGet", "List", "Watch", "Resume", "Resolve", "Export", "Verify", "Search", "Test")
MAX_CONCURRENT_CALLS = 24

PUBLIC = {
    "access.v1.KeySetService.GetJsonWebKeys",
    "access.v1.KeySetService.GetOpenIdConfiguration",
    "identity.v1.AuthService.RedeemOneTimeCode",
    "identity.v1.AuthService.RefreshTokens",
    "identity.v1.AuthService.RequestOneTimeCode",
    "identity.v1.AuthService.SignIn",
    "identity.v1.AuthService.SignInAsGuest",
    "identity.v1.AuthService.SignInWithIdToken",
    "identity.v1.AuthService.SignUp",
}
"""The RPCs that need no token. A new one requires a decision."""
WITH_MARKER = ("session.v1.SessionService.GetSession", "chat.v1.ChatService.GetChat")
"""Reads whose responses contain the marker of the owner."""


class Cell(NamedTuple):
    """One persona that calls one target on one of the two paths."""

    persona: Persona
    target: Target
    path: str
    request: Message
    rejection: str
    """The reason with which the call must be rejected; empty if it must be admitted."""
    expected: str
    """The outcome of an admitted call."""

    def __str__(self) -> str:
        return f"{self.persona.name}, {self.target}, {self.path}"


def test_public_rpcs_are_the_listed_ones() -> None:
    assert {name for name, rpc in RPCS.items() if oracle.AccessPolicy(rpc.grants).public} == PUBLIC


def test_every_required_id_field_is_in_the_dataset() -> None:
    """Otherwise no call would target a resource of another user."""
    for name, rpc in ROUTED.items():
        for field in requests.fields_of(requests.find_method(rpc.name).input_type):
            if requests.is_required(field) and field.name.endswith("_id"):
                assert field.name in {*ID_FIELDS, "request_id"}, name


@pytest.mark.parametrize("name", WITH_MARKER)
async def test_owners_see_their_own_marker(dataset: Dataset, deployment: Deployment, name: str) -> None:
    """Otherwise the matrix would not detect a marker in the response to another user."""
    rpc = ROUTED[name]
    [owner] = [persona for persona in dataset.personas if persona.name == "owner"]
    request = requests.create_valid(rpc.name, resolve_ids(rpc, Target(OWN), dataset.ids["owner"]))
    reply = (await call(deployment.gateway, rpc, request, owner.token)).reply
    assert marker("owner").encode() in reply
    assert marker("owner") in dataset.forbidden_markers["classmate"]


@pytest.mark.parametrize("name", ROUTED)
async def test_every_cell(dataset: Dataset, deployment: Deployment, name: str) -> None:
    rpc = ROUTED[name]
    cells = [*_cells(rpc, name, dataset)]
    _assert_complete(cells)
    if name in expectations.WITH_DISPOSABLE_PERSONAS:
        cells = [await _with_disposable_persona(rpc, dataset, cell) for cell in cells]
    outcomes = await _outcomes(deployment, rpc, cells)
    wrong = [
        f"{cell}: {problem}"
        for cell, outcome in zip(cells, outcomes, strict=True)
        for problem in _problems(dataset, rpc, cell, outcome)
    ]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cells)} cells of {name}", *sorted(wrong)])
    _assert_indistinguishable(cells, outcomes)


def _cells(rpc: Rpc, name: str, dataset: Dataset) -> Iterator[Cell]:
    policy = oracle.AccessPolicy(rpc.grants)
    for persona in dataset.personas:
        for target in list_targets(rpc):
            request = requests.create_valid(rpc.name, resolve_ids(rpc, target, dataset.ids[persona.name]))
            fields = requests.text_fields(request)
            for path in PATHS:
                rejection = oracle.expected_rejection(
                    policy, persona, fields, through_gateway=path == GATEWAY
                )
                expected = "" if rejection else _expected(rpc, name, persona, target)
                sent = request
                if expected == ADMITTED:
                    invalid = requests.create_invalid(request, rpc.identity)
                    assert invalid is not None, f"{name}: none of its fields can be invalid"
                    sent = invalid
                yield Cell(persona, target, path, sent, rejection, expected)


def _expected(rpc: Rpc, name: str, persona: Persona, target: Target) -> str:
    """Returns the outcome of an admitted call. A write to an existing resource is always sent as an invalid request."""
    exception = expectations.find_exception(name, persona, target)
    if exception:
        return exception
    if name in expectations.WITH_DISPOSABLE_PERSONAS:
        return OK
    if not target.exists and (rpc.identity or resource_fields(rpc)):
        return NOT_FOUND
    return OK if rpc.verb.startswith(READS) else ADMITTED


async def _with_disposable_persona(rpc: Rpc, dataset: Dataset, cell: Cell) -> Cell:
    """Replaces the persona and the target of an admitted call by new ones that no other test uses."""
    if cell.rejection:
        return cell
    persona = await dataset.create_disposable_persona(cell.persona)
    other = await dataset.create_disposable_persona(cell.persona)
    target_persona = {OWN: persona, OTHERS: other}.get(cell.target.scope)
    ids = resolve_ids(rpc, cell.target, dataset.ids[cell.persona.name])
    if target_persona:
        ids["user_id"] = target_persona.user_id
    request = requests.create_valid(rpc.name, ids)
    return cell._replace(persona=persona, request=request)


async def _outcomes(deployment: Deployment, rpc: Rpc, cells: list[Cell]) -> list[Outcome]:
    """Returns the outcome of each cell. Equal calls are made once."""
    same: dict[tuple[str, str, bytes], list[int]] = defaultdict(list)
    for number, cell in enumerate(cells):
        same[cell.persona.name, cell.path, cell.request.SerializeToString()].append(number)
    limit = asyncio.Semaphore(MAX_CONCURRENT_CALLS)
    outcomes: dict[int, Outcome] = {}

    async def call_once(numbers: list[int]) -> None:
        cell = cells[numbers[0]]
        channel = deployment.gateway if cell.path == GATEWAY else deployment.direct(rpc)
        async with limit:
            outcome = await call(channel, rpc, cell.request, cell.persona.token)
        outcomes.update(dict.fromkeys(numbers, outcome))

    await asyncio.gather(*map(call_once, same.values()))
    return [outcomes[number] for number in range(len(cells))]


def _problems(dataset: Dataset, rpc: Rpc, cell: Cell, outcome: Outcome) -> Iterator[str]:
    if cell.rejection:
        if outcome.status != oracle.status(cell.rejection, describe_callers(rpc.grants)):
            yield f"{outcome} ({outcome.status.message}) instead of {cell.rejection}"
        elif cell.path == GATEWAY and cell.rejection != "TOKEN_REVOKED" and outcome.reached_service:
            yield "the gateway forwarded the call"
        return
    if not expectations.matches(outcome, cell.expected):
        yield f"{outcome} instead of {cell.expected}"
    for forbidden in dataset.forbidden_markers[cell.persona.name]:
        if forbidden.encode() in outcome.reply:
            yield "the response contains data of another user"


def _assert_complete(cells: list[Cell]) -> None:
    """Checks that every persona calls each of the four kinds of target on both paths."""
    covered = {(cell.persona.name, cell.target.scope, cell.path) for cell in cells}
    personas = {cell.persona.name for cell in cells}
    kinds = ("own", "other's", "deleted", "non-existent")
    required = {(persona, kind, path) for persona in personas for kind in kinds for path in PATHS}
    assert required <= covered


def _assert_indistinguishable(cells: list[Cell], outcomes: list[Outcome]) -> None:
    """Checks that a rejection is identical, byte by byte, for every target of a persona."""
    responses = defaultdict(set)
    for cell, outcome in zip(cells, outcomes, strict=True):
        if cell.rejection == "ACCESS_DENIED":
            response = (outcome.status.SerializeToString(), *sorted(outcome.metadata.items()))
            responses[cell.persona.name, cell.path].add(response)
    assert {caller: len(different) for caller, different in responses.items() if len(different) > 1} == {}
