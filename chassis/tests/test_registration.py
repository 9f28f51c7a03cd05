"""Registration: a service is composed from servicers, and an incomplete composition fails at start."""

from typing import Any

import pytest

from chassis import registration
from chassis.database import Database
from chassis.tests.conftest import Probe, _servicers


@pytest.fixture
def servicers(probe: Probe, database: Database) -> tuple[object, ...]:
    return _servicers(probe.messages, database)


async def test_each_rpc_is_served_by_the_servicer_that_implements_it(
    probe: Probe, servicers: tuple[object, ...]
) -> None:
    registered = registration.service(probe.messages, *servicers)
    assert registered.descriptor.full_name == "probe.v1.ProbeService"
    echo, notes, streams = servicers
    methods: Any = registered.methods
    owners = {name: method.__self__ for name, method in methods.items()}
    assert owners.keys() == {method.name for method in registered.descriptor.methods}
    assert (owners["Public"], owners["CreateNote"], owners["Watch"]) == (echo, notes, streams)


async def test_a_missing_rpc_is_an_error(probe: Probe, servicers: tuple[object, ...]) -> None:
    echo, notes, _ = servicers
    with pytest.raises(
        TypeError, match=r"probe.v1.ProbeService.\w+ must be implemented by exactly one .* not by none"
    ):
        registration.service(probe.messages, echo, notes)


async def test_an_rpc_of_two_servicers_is_an_error(probe: Probe, servicers: tuple[object, ...]) -> None:
    class SecondServicer:
        async def CreateNote(self, request: Any, context: Any) -> Any: ...

    with pytest.raises(TypeError, match=r"CreateNote .* not by NoteServicer, SecondServicer"):
        registration.service(probe.messages, *servicers, SecondServicer())


async def test_a_method_that_is_not_an_rpc_of_the_contract_is_an_error(
    probe: Probe, servicers: tuple[object, ...]
) -> None:
    class MisspelledServicer:
        async def CreateNotes(self, request: Any, context: Any) -> Any: ...

    with pytest.raises(
        TypeError, match=r"MisspelledServicer.CreateNotes is not an RPC of probe.v1.ProbeService"
    ):
        registration.service(probe.messages, *servicers, MisspelledServicer())


async def test_generated_base_classes_implement_no_rpc(probe: Probe, servicers: tuple[object, ...]) -> None:
    class DerivedServicer(probe.stubs.ProbeServiceServicer):  # type: ignore[misc,name-defined]
        pass

    registration.service(probe.messages, *servicers, DerivedServicer())
    with pytest.raises(TypeError, match="not by none"):
        registration.service(probe.messages, DerivedServicer())


async def test_inherited_methods_and_helpers_are_recognised(
    probe: Probe, servicers: tuple[object, ...]
) -> None:
    echo, notes, streams = servicers

    class LoggingNotes(type(notes)):  # type: ignore[misc]
        def _helper(self) -> None: ...

    replaced = LoggingNotes()
    registered = registration.service(probe.messages, echo, replaced, streams)
    methods: Any = registered.methods
    assert methods["CreateNote"].__self__ is replaced
