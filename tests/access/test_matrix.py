"""Every routed RPC × everybody × everything it can be aimed at, through the gateway and straight.

The RPCs, the ways into them and their requests come from the compiled contracts: a new RPC is in the
matrix on the day that it is declared. What a cell must come to is told by `oracle`; what a call that is
let in comes to, by the few rules below and the exceptions in `rulings`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from google.protobuf.message import Message

from deploy.gateway.contracts import descriptors
from tests.access import expectations, oracle, requests
from tests.access.calls import Outcome, call
from tests.access.conftest import Ways
from tests.access.dataset import Dataset, mark
from tests.access.expectations import ENTERED, NOT_FOUND, OK
from tests.access.oracle import Persona
from tests.access.targets import NAMES, OTHERS, OWN, Target, ids, resource_fields, targets
from tests.contracts.rpcs import Declared, Rpc

RPCS = {rpc.name.removeprefix("meno."): rpc for rpc in Declared(descriptors().read_bytes()).rpcs()}
ROUTED = {name: rpc for name, rpc in RPCS.items() if rpc.routed}
READS = ("Get", "BatchGet", "List", "Watch", "Resume", "Resolve", "Export", "Verify", "Search", "Test")
AT_ONCE = 24


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
"""What anybody may call. Each was decided; a new one is, too."""
MARKED = ("session.v1.SessionService.GetSession", "chat.v1.ChatService.GetChat")
"""Reads whose answers hold the mark of whose they are."""


class Cell(NamedTuple):
    """One persona, aimed at one thing, on one of the two ways."""

    persona: Persona
    target: Target
    path: str
    request: Message
    refusal: str
    """The reason for which it must be refused; empty where it must be let in."""
    expected: str
    """What it must come to where it is let in."""

    def __str__(self) -> str:
        return f"{self.persona.name}, {self.target}, {self.path}"


def test_what_is_public_was_decided() -> None:
    assert {name for name, rpc in RPCS.items() if oracle.Ways(rpc.grants).public} == PUBLIC


def test_everything_that_a_request_names_is_in_the_world() -> None:
    """Otherwise nobody would be aimed at another's."""
    for name, rpc in ROUTED.items():
        for field in requests.fields_of(requests.method(rpc.name).input_type):
            if requests.needed(field) and field.name.endswith("_id"):
                assert field.name in {*NAMES, "request_id"}, name


@pytest.mark.parametrize("name", MARKED)
async def test_a_mark_is_seen_where_it_may_be(dataset: Dataset, ways: Ways, name: str) -> None:
    """Otherwise none would be missed where it may not."""
    rpc = ROUTED[name]
    [owner] = [persona for persona in dataset.personas if persona.name == "owner"]
    request = requests.whole(rpc.name, ids(rpc, Target(OWN), dataset.places["owner"]))
    reply = (await call(ways.gateway, rpc, request, owner.token)).reply
    assert mark("owner").encode() in reply
    assert mark("owner") in dataset.secrets["classmate"]


@pytest.mark.parametrize("name", ROUTED)
async def test_every_cell(dataset: Dataset, ways: Ways, name: str) -> None:
    rpc = ROUTED[name]
    cells = [*_cells(rpc, name, dataset)]
    _complete(cells)
    if name in expectations.BY_STAND_INS:
        cells = [await _by_stand_in(rpc, dataset, cell) for cell in cells]
    outcomes = await _outcomes(ways, rpc, cells)
    wrong = [
        f"{cell}: {problem}"
        for cell, outcome in zip(cells, outcomes, strict=True)
        for problem in _problems(dataset, cell, outcome)
    ]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cells)} cells of {name}", *sorted(wrong)])
    _indistinguishable(cells, outcomes)


def _cells(rpc: Rpc, name: str, dataset: Dataset) -> Iterator[Cell]:
    ways = oracle.Ways(rpc.grants)
    for persona in dataset.personas:
        for target in targets(rpc):
            request = requests.whole(rpc.name, ids(rpc, target, dataset.places[persona.name]))
            asked = requests.texts(request)
            for path in ("through", "straight"):
                refusal = oracle.refusal(ways, persona, asked, through=path == "through")
                expected = "" if refusal else _expected(rpc, name, persona, target)
                sent = request
                if expected == ENTERED:
                    broken = requests.broken(request, rpc.identity)
                    assert broken is not None, f"{name}: no field of it can be broken"
                    sent = broken
                yield Cell(persona, target, path, sent, refusal, expected)


def _expected(rpc: Rpc, name: str, persona: Persona, target: Target) -> str:
    """What a call that is let in comes to. A write reaches what is there only as a broken request."""
    found = expectations.exception(name, persona, target)
    if found:
        return found
    if name in expectations.BY_STAND_INS:
        return OK
    if not target.is_there and (rpc.identity or resource_fields(rpc)):
        return NOT_FOUND
    return OK if rpc.verb.startswith(READS) else ENTERED


async def _by_stand_in(rpc: Rpc, dataset: Dataset, cell: Cell) -> Cell:
    """The same cell, but for a persona and a target that nobody else needs; where it is let in."""
    if cell.refusal:
        return cell
    persona = await dataset.stand_in(cell.persona)
    aimed_at = {OWN: persona, OTHERS: await dataset.stand_in(cell.persona)}.get(cell.target.scope)
    found = ids(rpc, cell.target, dataset.places[cell.persona.name])
    request = requests.whole(rpc.name, found | ({"user_id": aimed_at.user_id} if aimed_at else {}))
    return cell._replace(persona=persona, request=request)


async def _outcomes(ways: Ways, rpc: Rpc, cells: list[Cell]) -> list[Outcome]:
    """What came of each cell; those that send the same are asked once."""
    same: dict[tuple[str, str, bytes], list[int]] = defaultdict(list)
    for number, cell in enumerate(cells):
        same[cell.persona.name, cell.path, cell.request.SerializeToString()].append(number)
    limit = asyncio.Semaphore(AT_ONCE)
    found: dict[int, Outcome] = {}

    async def ask(numbers: list[int]) -> None:
        cell = cells[numbers[0]]
        channel = ways.gateway if cell.path == "through" else ways.straight(rpc)
        async with limit:
            outcome = await call(channel, rpc, cell.request, cell.persona.token)
        found.update(dict.fromkeys(numbers, outcome))

    await asyncio.gather(*map(ask, same.values()))
    return [found[number] for number in range(len(cells))]


def _problems(dataset: Dataset, cell: Cell, outcome: Outcome) -> Iterator[str]:
    if cell.refusal:
        if outcome.status != oracle.status(cell.refusal):
            yield f"{outcome} ({outcome.status.message}) in place of {cell.refusal}"
        elif cell.path == "through" and cell.refusal != "TOKEN_REVOKED" and outcome.reached:
            yield "the gateway handed it on"
        return
    if not expectations.satisfies(outcome, cell.expected):
        yield f"{outcome} in place of {cell.expected}"
    for secret in dataset.secrets[cell.persona.name]:
        if secret.encode() in outcome.reply:
            yield "the answer holds what is somebody else's"


def _complete(cells: list[Cell]) -> None:
    """Every persona is aimed at each of the four, on both ways."""
    have = {(cell.persona.name, cell.target.scope, cell.path) for cell in cells}
    people = {cell.persona.name for cell in cells}
    kinds = ("own", "other's", "deleted", "non-existent")
    wanted = {(who, kind, path) for who in people for kind in kinds for path in ("through", "straight")}
    assert wanted <= have


def _indistinguishable(cells: list[Cell], outcomes: list[Outcome]) -> None:
    """An outsider is told the same, byte for byte, whatever they asked for."""
    told = defaultdict(set)
    for cell, outcome in zip(cells, outcomes, strict=True):
        if cell.refusal == "ACCESS_DENIED":
            everything = (outcome.status.SerializeToString(), *sorted(outcome.told.items()))
            told[cell.persona.name, cell.path].add(everything)
    assert {who: len(different) for who, different in told.items() if len(different) > 1} == {}
