"""The models of the components, and their resolution for other services."""

import uuid

import pytest_asyncio

from chassis.testing import expect_error
from identity_service.tests.administrator import Models, update_backend
from identity_service.tests.conftest import Identity
from meno.identity.v1 import admin_service_pb2 as admin
from meno.identity.v1 import resources_pb2 as resources
from meno.identity.v1.admin_service_pb2_grpc import AdminServiceStub

TUTOR = resources.MODEL_COMPONENT_TUTOR


@pytest_asyncio.fixture
async def models(identity: Identity) -> Models:
    return Models(identity, await identity.sign_up_admin())


async def resolve(
    identity: Identity,
    component: resources.ModelComponent.ValueType = TUTOR,
    peer: str = "chat_service",
) -> resources.ResolvedModel:
    stub = AdminServiceStub(identity.service.channel(peer))
    return await stub.ResolveModel(admin.ResolveModelRequest(component=component))


async def test_a_new_installation_uses_the_built_in_models(models: Models) -> None:
    listed = await models.list_all(
        "ListComponentModels", admin.ListComponentModelsRequest(), "component_models"
    )
    listed_models = await models.list_all("ListModels", admin.ListModelsRequest(), "models")
    names = {model.model_id: model.model_name for model in listed_models}
    uses = {resources.ModelComponent.Name(item.component): names[item.model_id] for item in listed}
    assert uses.pop("MODEL_COMPONENT_TUTOR") == "extractive"
    assert [*uses.values()] == ["deterministic"] * 7
    assert all(item.description and not item.update_user_id for item in listed)
    resolved = await resolve(models.identity)
    assert resolved.provider == resources.MODEL_PROVIDER_BUILTIN


async def test_components_are_listed_by_name_for_all_page_sizes(models: Models) -> None:
    for size in (0, 1, 3, 8):
        request = admin.ListComponentModelsRequest(page_size=size)
        listed = await models.list_all("ListComponentModels", request, "component_models")
        names = [resources.ModelComponent.Name(item.component) for item in listed]
        assert names == sorted(resources.ModelComponent.keys()[1:])


async def test_a_component_uses_the_model_assigned_last(models: Models) -> None:
    backend = await models.create_backend(base_url="https://models.example/v1", key_reference="env:SOME_KEY")
    first, second = (
        await models.create_model(backend, "first"),
        await models.create_model(backend, "second", temperature=0),
    )
    await models.assign(first, "TUTOR")
    assigned = await models.assign(second, "TUTOR")
    assert (assigned.model_id, assigned.update_user_id) == (second.model_id, models.person.user_id)
    assert await resolve(models.identity) == resources.ResolvedModel(
        provider=resources.MODEL_PROVIDER_OPENAI,
        base_url="https://models.example/v1",
        key_reference="env:SOME_KEY",
        model_name="second",
        temperature=0,
        max_output_tokens=2048,
    )
    listed = await models.list_all(
        "ListComponentModels", admin.ListComponentModelsRequest(), "component_models"
    )
    assert assigned in listed
    assert [(action, resource, details) for action, resource, details in await models.list_audited()][:2] == [
        ("COMPONENT_MODEL_SET", item.model_id, {"component": "TUTOR"}) for item in (second, first)
    ]


async def test_providers_and_components_are_stored_in_their_original_spelling(models: Models) -> None:
    for provider in resources.ModelProvider.values()[2:]:
        backend = await models.create_backend(resources.ModelProvider.Name(provider), provider=provider)
        await models.assign(await models.create_model(backend), "BOOK_INGESTION")
    stored = models.identity.execute_sql("SELECT provider FROM model_backends ORDER BY backend_id")
    assert [provider for (provider,) in stored] == ["builtin", "openai", "anthropic", "google"]
    assert models.identity.execute_sql(
        "SELECT component FROM component_models WHERE updated_by_user_id IS NOT NULL"
    ) == [("book_ingestion",)]


async def test_a_component_with_a_disabled_backend_is_not_configured(models: Models) -> None:
    backend = await models.create_backend()
    await models.assign(await models.create_model(backend), "TUTOR")
    for enabled in (False, True):
        change = update_backend(backend, enabled=enabled)
        await models.call("UpdateModelBackend", change)
        if enabled:
            assert (await resolve(models.identity)).model_name == "gpt-5.2"
        else:
            denied = await expect_error(resolve(models.identity))
            assert (denied.code, denied.reason) == ("FAILED_PRECONDITION", "COMPONENT_NOT_CONFIGURED")
            assert denied.metadata == {"component": "TUTOR"}


async def test_a_component_without_a_model_is_not_configured_and_not_listed(models: Models) -> None:
    models.identity.execute_sql("DELETE FROM component_models WHERE component = 'quiz_generator'")
    denied = await expect_error(resolve(models.identity, resources.MODEL_COMPONENT_QUIZ_GENERATOR))
    assert denied.reason == "COMPONENT_NOT_CONFIGURED"
    request = admin.ListComponentModelsRequest(page_size=2)
    assert len(await models.list_all("ListComponentModels", request, "component_models")) == 7


async def test_only_services_can_resolve_models(models: Models) -> None:
    request = admin.ResolveModelRequest(component=TUTOR)
    assert (await expect_error(models.call("ResolveModel", request))).reason == "ACCESS_DENIED"
    assert (await expect_error(resolve(models.identity, peer="gateway"))).reason == "ACCESS_DENIED"


async def test_an_unknown_component_is_refused(models: Models) -> None:
    request = admin.SetComponentModelRequest(component=99, model_id=str(uuid.uuid4()))  # type: ignore[arg-type]
    assert (await expect_error(models.call("SetComponentModel", request))).reason == "FIELD_INVALID"
