"""`meno config` and `meno models`: what an administrator decides for the whole installation."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import screen, wire
from deploy.cli.client import Client, connected
from deploy.cli.options import Json
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.admin_service_pb2 import ConfigEntry, ModelBackend

config = typer.Typer(no_args_is_help=True)
models = typer.Typer(no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", show_default=False)]

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


@config.command("list")
@connected
def list_config(client: Client, *, json: Json = False) -> None:
    """List everything that is configured.

    Example: [bold]meno config list[/]
    """
    from meno.identity.v1.admin_service_pb2 import ListConfigEntriesRequest

    rpc, request = client.admin.ListConfigEntries, ListConfigEntriesRequest()
    found = [*client.pages(rpc, request, lambda page: page.entries, 0)]
    if json:
        screen.as_json([wire.as_dict(entry) for entry in found])
        return
    shown = screen.table("key", "value", "what for", whole=("key",))
    for entry in found:
        style = "bold" if entry.HasField("update_time") else ""
        shown.add_row(
            screen.cell(entry.key), screen.cell(_value(entry), style), screen.cell(entry.description, "dim")
        )
    screen.show(shown)
    screen.after("meno config set KEY VALUE", "what is set is bold, the rest has its default")


@config.command("get")
@connected
def get_config(client: Client, key: Key, *, json: Json = False) -> None:
    """Show one thing that is configured.

    Example: [bold]meno config get signup_role[/]
    """
    entry = _entry(client, key)
    if json:
        screen.as_json(wire.as_dict(entry))
        return
    from meno.identity.v1.admin_service_pb2 import ConfigType

    screen.sheet(
        {
            "key": entry.key,
            "value": _value(entry),
            "default": _text(entry.default_value),
            "type": ConfigType.Name(entry.type).removeprefix("CONFIG_TYPE_").lower(),
            "what for": entry.description,
            "set": wire.time(entry.update_time),
            "by": entry.update_user_id,
        }
    )


# So that a number below zero is no option.
@config.command("set", context_settings={"ignore_unknown_options": True})
@connected
def set_config(
    client: Client,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="true or false, a number, a text, or texts with commas", show_default=False
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """Set one thing.

    Example: [bold]meno config set signup_role UNASSIGNED[/]
    Example: [bold]meno config set offered_roles STUDENT,TEACHER[/]
    """
    from google.protobuf.json_format import ParseDict
    from google.protobuf.struct_pb2 import Value

    from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest

    before = _entry(client, key)
    parsed = ParseDict(_parsed(before, value), Value())
    # Where somebody else has set it meanwhile, they should know of each other.
    request = SetConfigEntryRequest(key=key, value=parsed, etag=before.etag)
    _set(client.call(client.admin.SetConfigEntry, request), json=json)
    if not json:
        screen.after(f"meno config reset {key}", f"takes it back to {_text(before.default_value)}")


@config.command("reset")
@connected
def reset_config(client: Client, key: Key, *, json: Json = False) -> None:
    """Take one thing back to its default.

    Example: [bold]meno config reset signup_role[/]
    """
    from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest

    _set(client.call(client.admin.SetConfigEntry, SetConfigEntryRequest(key=key)), json=json)


@models.command("list")
@connected
def list_models(client: Client, *, json: Json = False) -> None:
    """List which model does what, and where it is.

    Example: [bold]meno models list[/]
    """
    from meno.identity.v1.admin_service_pb2 import (
        ListComponentModelsRequest,
        ListModelsRequest,
        ModelComponent,
    )

    components = [
        *client.pages(
            client.admin.ListComponentModels,
            ListComponentModelsRequest(),
            lambda page: page.component_models,
            0,
        )
    ]
    found = {
        model.model_id: model
        for model in client.pages(client.admin.ListModels, ListModelsRequest(), lambda page: page.models, 0)
    }
    backends = {backend.backend_id: backend for backend in _backends(client)}
    if json:
        screen.as_json(
            {
                "components": [wire.as_dict(one) for one in components],
                "models": [wire.as_dict(one) for one in found.values()],
                "backends": [wire.as_dict(one) for one in backends.values()],
            }
        )
        return
    shown = screen.table("component", "model", "backend", "what it does", whole=("component",))
    for component in components:
        model = found.get(component.model_id)
        backend = backends.get(model.backend_id) if model else None
        row = (
            ModelComponent.Name(component.component).removeprefix("MODEL_COMPONENT_").lower(),
            model.model_name if model else component.model_id,
            backend.name if backend else "",
        )
        shown.add_row(*map(screen.cell, row), screen.cell(component.description, "dim"))
    screen.show(shown)
    screen.after("meno models backends")


@models.command("backends")
@connected
def list_backends(client: Client, *, json: Json = False) -> None:
    """List the backends: where language models are.

    Example: [bold]meno models backends[/]
    """
    from meno.identity.v1.admin_service_pb2 import ModelProvider

    found = _backends(client)
    if json:
        screen.as_json([wire.as_dict(backend) for backend in found])
        return
    shown = screen.table("id", "name", "provider", "address", "key", "used", whole=("id",))
    for backend in found:
        provider = ModelProvider.Name(backend.provider).removeprefix("MODEL_PROVIDER_")
        used = "yes" if backend.enabled else "no"
        row = (backend.backend_id, backend.name, provider, backend.base_url, backend.key_reference, used)
        shown.add_row(*map(screen.cell, row))
    screen.show(shown)
    screen.after("meno models test NAME")


@models.command("test")
@connected
def ask_backend(
    client: Client,
    backend: Annotated[str, typer.Argument(metavar="BACKEND", help="name or id", show_default=False)],
    *,
    json: Json = False,
) -> None:
    """Ask a backend which models it has; exits with 1 where it cannot be reached.

    Example: [bold]meno models test openai[/]
    """
    from meno.identity.v1.admin_service_pb2 import TestModelBackendRequest

    named = {one.name: one.backend_id for one in _backends(client)}
    request = TestModelBackendRequest(backend_id=named.get(backend, backend))
    if backend not in named and backend not in named.values():
        raise CliError(f"there is no backend {backend}: `meno models backends` lists them")
    with screen.errors.status("asking"):
        tested = client.call(client.admin.TestModelBackend, request)
    if json:
        screen.as_json(wire.as_dict(tested))
    elif tested.reachable:
        screen.say("[green]✓[/] {} answered within {} ms.", backend, tested.milliseconds)
        screen.sheet({"models": ", ".join(tested.model_names)})
    else:
        screen.problem(f"{backend} cannot be used: {tested.problem}")
    if not tested.reachable:
        raise typer.Exit(1)


def _backends(client: Client) -> "list[ModelBackend]":
    from meno.identity.v1.admin_service_pb2 import ListModelBackendsRequest

    rpc, request = client.admin.ListModelBackends, ListModelBackendsRequest()
    return [*client.pages(rpc, request, lambda page: page.backends, 0)]


def _entry(client: Client, key: str) -> "ConfigEntry":
    from meno.identity.v1.admin_service_pb2 import GetConfigEntryRequest

    return client.call(client.admin.GetConfigEntry, GetConfigEntryRequest(key=key))


def _set(entry: "ConfigEntry", *, json: bool) -> None:
    if json:
        screen.as_json(wire.as_dict(entry))
        return
    screen.say("{} is [bold]{}[/].", entry.key, _value(entry))


def _parsed(entry: "ConfigEntry", text: str) -> Any:
    """A value of the entry's type. Raises CliError."""
    from meno.identity.v1.admin_service_pb2 import ConfigType

    match entry.type:
        case ConfigType.CONFIG_TYPE_BOOLEAN if text.lower() in _YES | _NO:
            return text.lower() in _YES
        case ConfigType.CONFIG_TYPE_BOOLEAN:
            raise CliError(f"{entry.key} is true or false, not {text}")
        case ConfigType.CONFIG_TYPE_INTEGER:
            try:
                return int(text)
            except ValueError:
                raise CliError(f"{entry.key} is a whole number, not {text}") from None
        case ConfigType.CONFIG_TYPE_CHOICES:
            return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _value(entry: "ConfigEntry") -> str:
    return _text(entry.value)


def _text(value: Any) -> str:
    """A value as it is typed in."""
    from google.protobuf.json_format import MessageToDict

    found: Any = MessageToDict(value)
    if isinstance(found, list):
        return ",".join(map(str, found))
    if isinstance(found, bool):
        return str(found).lower()
    return f"{found:g}" if isinstance(found, float) else str(found)
