"""Every RPC that is declared is served, and every reason to refuse is given as it is declared."""

import ast
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from chassis import errors
from chassis.errors import DomainError
from chassis.testing import TestEnvironment
from deploy.gateway import local_replies
from deploy.gateway.contracts import descriptors
from deploy.gateway.openapi.descriptors import Contracts
from deploy.stack.layout import ROOT, SERVICES
from meno.identity.v1.user_service_pb2_grpc import UserServiceServicer
from tests.contracts.declared import Declared

CONTEXTS = ("access", *(service.removesuffix("_service") for service in SERVICES))
ARGUMENTS: Mapping[Any, Any] = {
    str: "text",
    int: 1,
    Iterable[str]: ["text"],
    timedelta: timedelta(seconds=1),
    BadRequest.FieldViolation: BadRequest.FieldViolation(field="field"),
}
"""What a refusal may be told."""
LATER = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}


@pytest_asyncio.fixture
async def served(
    env: TestEnvironment, new_database: Callable[[str], str], tmp_path: Path
) -> AsyncIterator[set[str]]:
    """The RPCs of all four services, as their composition roots build them."""
    async with AsyncExitStack() as composed:
        found = set()
        for service in SERVICES:
            settings = import_module(f"{service}.settings").Settings(
                database_url=new_database(service),
                secret="a secret of this test, long enough",
                tls_directory=env.credentials(service).directory,
                storage_url=tmp_path.as_uri(),
                model_cache=tmp_path,
            )
            app = await composed.enter_async_context(import_module(f"{service}.app").create_app(settings))
            for one in app.services:
                found |= {f"{one.descriptor.full_name}.{rpc}" for rpc in written(type(one.servicer))}
        yield found


async def test_every_rpc_is_served_and_nothing_else_is(served: set[str]) -> None:
    assert served == {rpc.name for rpc in Declared(descriptors().read_bytes()).rpcs()}


def test_what_a_servicer_takes_over_unwritten_is_not_served() -> None:
    class Half(UserServiceServicer):
        async def GetUser(self, request: Any, context: Any) -> Any:
            """Written."""

    assert written(Half) == {"GetUser"}


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_reasons_that_are_declared_are_those_that_there_are(context: str) -> None:
    reasons = Declared(descriptors().read_bytes())[f"{context}.v1.ErrorReason"].value
    declared = {value.name.removeprefix("ERROR_REASON_") for value in reasons}
    assert {refusal.reason for refusal in refusals(context)} == declared - {"UNSPECIFIED"}


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_reason_is_given_somewhere(context: str) -> None:
    used = {name for package in packages(context) for name in names_in(package)}
    assert [refusal.reason for refusal in refusals(context) if refusal.__name__ not in used] == []


@pytest.mark.parametrize("context", CONTEXTS)
def test_refusals_carry_what_their_reason_documents(context: str) -> None:
    contracts = Contracts(descriptors())
    for refusal in refusals(context):
        comment = contracts.comment(f"meno.{context}.v1.ErrorReason.ERROR_REASON_{refusal.reason}")
        given = example(refusal)
        _, _, metadata = comment.partition("Metadata:")
        assert given.metadata.keys() == {*re.findall(r"`(\w+)`", metadata)}, refusal.reason
        details = {type(detail) for detail in given.details}
        assert (RetryInfo in details) == ("RetryInfo" in comment), refusal.reason
        # Whoever may come again is told when.
        assert (RetryInfo in details) == (refusal.code in LATER), refusal.reason
        assert (BadRequest in details) == ("BadRequest" in comment), refusal.reason


def written(servicer: type[Any]) -> set[str]:
    """The RPCs that a servicer has, without those that it takes over from the generated class."""
    ours = [part for part in servicer.__mro__ if not part.__module__.startswith("meno.")]
    return {name for part in ours for name in vars(part) if name[0].isupper()}


def refusals(context: str) -> list[type[DomainError]]:
    """The refusals of a context. Of those that come before any service, the gateway gives some."""
    modules = [errors, local_replies] if context == "access" else [import_module(f"{context}_service.errors")]
    return [refusal for module in modules for refusal in _refusals(module)]


def _refusals(module: ModuleType) -> list[type[DomainError]]:
    """Those that a module itself declares, without the class that gathers them."""
    own = [value for value in vars(module).values() if inspect.isclass(value)]
    return [
        value
        for value in own
        if issubclass(value, DomainError) and value.__module__ == module.__name__ and hasattr(value, "reason")
    ]


def example(refusal: type[DomainError]) -> DomainError:
    """One with values of the right types, and nothing that it does not need."""
    parameters = inspect.signature(refusal).parameters.values()
    needed = [ARGUMENTS[one.annotation] for one in parameters if one.default is one.empty]
    return refusal(*needed)


def packages(context: str) -> tuple[str, ...]:
    """Where the refusals of a context are given."""
    return ("chassis", "deploy") if context == "access" else (f"{context}_service",)


def names_in(package: str) -> Iterator[str]:
    """Yields every name that the code of a package uses; to declare or import one is not to use it."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())) if "tests" not in path.parts else ():
            if isinstance(node, ast.Name | ast.Attribute):
                yield node.id if isinstance(node, ast.Name) else node.attr
