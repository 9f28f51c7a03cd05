"""Which component uses which model, and what a service is told of it."""

import uuid

import psycopg
import pytest_asyncio

from chassis.testing import refused
from identity_service.administration.models import rules
from identity_service.tests.administrator import Models
from identity_service.tests.conftest import Identity
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub

TUTOR = admin.MODEL_COMPONENT_TUTOR


@pytest_asyncio.fixture
async def models(identity: Identity) -> Models:
    return Models(identity, await identity.sign_up_admin())


async def resolve(
    identity: Identity, component: admin.ModelComponent.ValueType = TUTOR, peer: str = "chat_service"
) -> admin.ResolvedModel:
    stub = AdminServiceStub(identity.served.channel(peer))
    return await stub.ResolveModel(admin.ResolveModelRequest(component=component))


async def test_an_installation_begins_with_what_needs_no_model(models: Models) -> None:
    listed = await models.every("ListComponentModels", admin.ListComponentModelsRequest(), "component_models")
    every = await models.every("ListModels", admin.ListModelsRequest(), "models")
    names = {model.model_id: model.model_name for model in every}
    uses = {admin.ModelComponent.Name(one.component): names[one.model_id] for one in listed}
    assert uses.pop("MODEL_COMPONENT_TUTOR") == "extractive"
    assert [*uses.values()] == ["deterministic"] * 7
    assert all(one.description and not one.update_user_id for one in listed)
    told = await resolve(models.identity)
    assert told.provider == admin.MODEL_PROVIDER_BUILTIN


async def test_components_are_listed_by_name_whatever_the_pages(models: Models) -> None:
    for size in (0, 1, 3, 8):
        request = admin.ListComponentModelsRequest(page_size=size)
        listed = await models.every("ListComponentModels", request, "component_models")
        names = [admin.ModelComponent.Name(one.component).removeprefix("MODEL_COMPONENT_") for one in listed]
        assert names == [*rules.COMPONENTS]


async def test_a_component_uses_the_model_that_it_was_given_last(models: Models) -> None:
    backend = await models.backend(base_url="https://models.example/v1", key_reference="env:SOME_KEY")
    first, second = await models.model(backend, "first"), await models.model(backend, "second", temperature=0)
    await models.use(first, "TUTOR")
    given = await models.use(second, "TUTOR")
    assert (given.model_id, given.update_user_id) == (second.model_id, models.person.user_id)
    assert await resolve(models.identity) == admin.ResolvedModel(
        provider=admin.MODEL_PROVIDER_OPENAI,
        base_url="https://models.example/v1",
        key_reference="env:SOME_KEY",
        model_name="second",
        temperature=0,
        max_output=2048,
    )
    listed = await models.every("ListComponentModels", admin.ListComponentModelsRequest(), "component_models")
    assert given in listed
    assert [(action, resource, details) for action, resource, details in await models.audited()][:2] == [
        ("COMPONENT_MODEL_SET", one.model_id, {"component": "TUTOR"}) for one in (second, first)
    ]


async def test_nothing_takes_the_place_of_a_backend_that_is_switched_off(models: Models) -> None:
    backend = await models.backend()
    await models.use(await models.model(backend), "TUTOR")
    for enabled in (False, True):
        change = admin.UpdateModelBackendRequest(backend_id=backend.backend_id, enabled=enabled)
        await models.call("UpdateModelBackend", change)
        if enabled:
            assert (await resolve(models.identity)).model_name == "gpt-5.2"
        else:
            denied = await refused(resolve(models.identity))
            assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "COMPONENT_NOT_CONFIGURED")
            assert denied.metadata == {"component": "TUTOR"}


async def test_a_component_without_a_model_is_not_configured_and_not_listed(models: Models) -> None:
    with psycopg.connect(models.identity.database_url) as connection:
        connection.execute("DELETE FROM component_models WHERE component = 'QUIZ_GENERATOR'")
    denied = await refused(resolve(models.identity, admin.MODEL_COMPONENT_QUIZ_GENERATOR))
    assert denied.reason == "COMPONENT_NOT_CONFIGURED"
    request = admin.ListComponentModelsRequest(page_size=2)
    assert len(await models.every("ListComponentModels", request, "component_models")) == 7


async def test_only_services_are_told_how_a_model_is_reached(models: Models) -> None:
    request = admin.ResolveModelRequest(component=TUTOR)
    assert (await refused(models.call("ResolveModel", request))).reason == "ACCESS_DENIED"
    assert (await refused(resolve(models.identity, peer="gateway"))).reason == "ACCESS_DENIED"


async def test_a_component_that_is_none_is_refused(models: Models) -> None:
    request = admin.SetComponentModelRequest(component=99, model_id=str(uuid.uuid4()))  # type: ignore[arg-type]
    assert (await refused(models.call("SetComponentModel", request))).reason == "FIELD_INVALID"
