"""Every declared RPC is served, and every declared error reason is used as declared."""

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
from tests.contracts.rpcs import Declared

CONTEXTS = ("access", *(service.removesuffix("_service") for service in SERVICES))
ARGUMENTS: Mapping[Any, Any] = {
    str: "text",
    int: 1,
    Iterable[str]: ["text"],
    timedelta: timedelta(seconds=1),
    BadRequest.FieldViolation: BadRequest.FieldViolation(field="field"),
}
"""Example arguments of error classes, by annotation."""
RETRYABLE = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}


@pytest_asyncio.fixture
async def served(
    env: TestEnvironment, new_database: Callable[[str], str], tmp_path: Path
) -> AsyncIterator[set[str]]:
    """The RPCs of all four services, as registered by their composition roots."""
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
            for registration in app.services:
                found |= {f"{registration.descriptor.full_name}.{name}" for name in registration.methods}
        yield found


async def test_every_rpc_is_served_and_nothing_else_is(served: set[str]) -> None:
    assert served == {rpc.name for rpc in Declared(descriptors().read_bytes()).rpcs()}


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_declared_reason_has_a_class(context: str) -> None:
    reasons = Declared(descriptors().read_bytes())[f"{context}.v1.ErrorReason"].value
    declared = {value.name.removeprefix("ERROR_REASON_") for value in reasons}
    assert {error.reason for error in error_classes(context)} == declared - {"UNSPECIFIED"}


@pytest.mark.parametrize("context", CONTEXTS)
def test_every_error_class_is_used(context: str) -> None:
    used = {name for package in packages(context) for name in names_in(package)}
    assert [error.reason for error in error_classes(context) if error.__name__ not in used] == []


@pytest.mark.parametrize("context", CONTEXTS)
def test_errors_have_the_documented_metadata_and_details(context: str) -> None:
    contracts = Contracts(descriptors())
    for error in error_classes(context):
        comment = contracts.comment(f"meno.{context}.v1.ErrorReason.ERROR_REASON_{error.reason}")
        given = example(error)
        _, _, metadata = comment.partition("Metadata:")
        assert given.metadata.keys() == {*re.findall(r"`(\w+)`", metadata)}, error.reason
        details = {type(detail) for detail in given.details}
        assert (RetryInfo in details) == ("RetryInfo" in comment), error.reason
        # A retryable error states the delay.
        assert (RetryInfo in details) == (error.code in RETRYABLE), error.reason
        assert (BadRequest in details) == ("BadRequest" in comment), error.reason


def error_classes(context: str) -> list[type[DomainError]]:
    """Returns the error classes of a context. The gateway declares some of `access`."""
    modules = [errors, local_replies] if context == "access" else [import_module(f"{context}_service.errors")]
    return [error for module in modules for error in _declared_in(module)]


def _declared_in(module: ModuleType) -> list[type[DomainError]]:
    """Returns the error classes that a module declares, without its base class."""
    own = [value for value in vars(module).values() if inspect.isclass(value)]
    return [
        value
        for value in own
        if issubclass(value, DomainError) and value.__module__ == module.__name__ and hasattr(value, "reason")
    ]


def example(error: type[DomainError]) -> DomainError:
    """Returns an instance with example values for the required arguments."""
    parameters = inspect.signature(error).parameters.values()
    needed = [ARGUMENTS[one.annotation] for one in parameters if one.default is one.empty]
    return error(*needed)


def packages(context: str) -> tuple[str, ...]:
    """Returns the packages that raise the errors of a context."""
    return ("chassis", "deploy") if context == "access" else (f"{context}_service",)


def names_in(package: str) -> Iterator[str]:
    """Yields every name that the code of a package uses. Declaring or importing a name is not a use."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())) if "tests" not in path.parts else ():
            if isinstance(node, ast.Name | ast.Attribute):
                yield node.id if isinstance(node, ast.Name) else node.attr
