"""`meno config` and `meno models`: the configuration of an installation and its language models."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import output
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name, to_datetime, to_dict
from deploy.cli.options import Json
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import ConfigEntry, ModelBackend

config = typer.Typer(no_args_is_help=True)
models = typer.Typer(no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="KEY", show_default=False)]

_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0"})


@config.command("list")
@with_client
def list_config(client: Client, *, json: Json = False) -> None:
    """List the configuration.

    Example: [bold]meno config list[/]
    """
    from meno.identity.v1.admin_service_pb2 import ListConfigEntriesRequest

    rpc, request = client.admin.ListConfigEntries, ListConfigEntriesRequest()
    found = [*client.list_all(rpc, request, lambda page: page.entries, 0)]
    if json:
        output.print_json([to_dict(entry) for entry in found])
        return
    rows = output.table("key", "value", "purpose", no_wrap=("key",))
    for entry in found:
        style = "bold" if entry.HasField("update_time") else ""
        rows.add_row(
            output.cell(entry.key), output.cell(_value(entry), style), output.cell(entry.description, "dim")
        )
    output.print_table(rows)
    output.print_next_step(
        "meno config set KEY VALUE", "sets a value; values in bold are set, the others are defaults"
    )


@config.command("get")
@with_client
def get_config(client: Client, key: Key, *, json: Json = False) -> None:
    """Show one entry of the configuration.

    Example: [bold]meno config get signup_role[/]
    """
    entry = _entry(client, key)
    if json:
        output.print_json(to_dict(entry))
        return
    output.print_fields(
        {
            "key": entry.key,
            "value": _value(entry),
            "default": _format(entry.default_value),
            "type": enum_name(entry, "type").lower(),
            "purpose": entry.description,
            "set": to_datetime(entry.update_time),
            "by": entry.update_user_id,
        }
    )


# Otherwise a negative number would be parsed as an option.
@config.command("set", context_settings={"ignore_unknown_options": True})
@with_client
def set_config(
    client: Client,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="true or false, a number, a text, or a comma-separated list",
            show_default=False,
        ),
    ],
    *,
    json: Json = False,
) -> None:
    """Set one entry of the configuration.

    Example: [bold]meno config set signup_role UNASSIGNED[/]
    Example: [bold]meno config set allowed_roles STUDENT,TEACHER[/]
    """
    from google.protobuf.json_format import ParseDict
    from google.protobuf.struct_pb2 import Value

    from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest

    before = _entry(client, key)
    parsed = ParseDict(_parse(before, value), Value())
    # The etag makes a concurrent change an error, so that no change is overwritten unseen.
    request = SetConfigEntryRequest(key=key, value=parsed, etag=before.etag)
    _print_entry(client.call(client.admin.SetConfigEntry, request), json=json)
    if not json:
        output.print_next_step(f"meno config reset {key}", f"resets it to {_format(before.default_value)}")


@config.command("reset")
@with_client
def reset_config(client: Client, key: Key, *, json: Json = False) -> None:
    """Reset one entry of the configuration to its default.

    Example: [bold]meno config reset signup_role[/]
    """
    from meno.identity.v1.admin_service_pb2 import SetConfigEntryRequest

    _print_entry(client.call(client.admin.SetConfigEntry, SetConfigEntryRequest(key=key)), json=json)


@models.command("list")
@with_client
def list_models(client: Client, *, json: Json = False) -> None:
    """List the model and the backend of each component.

    Example: [bold]meno models list[/]
    """
    from meno.identity.v1.admin_service_pb2 import ListComponentModelsRequest, ListModelsRequest

    components = [
        *client.list_all(
            client.admin.ListComponentModels,
            ListComponentModelsRequest(),
            lambda page: page.component_models,
            0,
        )
    ]
    found = {
        model.model_id: model
        for model in client.list_all(
            client.admin.ListModels, ListModelsRequest(), lambda page: page.models, 0
        )
    }
    backends = {backend.backend_id: backend for backend in _backends(client)}
    if json:
        output.print_json(
            {
                "components": [to_dict(one) for one in components],
                "models": [to_dict(one) for one in found.values()],
                "backends": [to_dict(one) for one in backends.values()],
            }
        )
        return
    rows = output.table("component", "model", "backend", "purpose", no_wrap=("component",))
    for component in components:
        model = found.get(component.model_id)
        backend = backends.get(model.backend_id) if model else None
        row = (
            enum_name(component, "component").lower(),
            model.model_name if model else component.model_id,
            backend.name if backend else "",
        )
        rows.add_row(*map(output.cell, row), output.cell(component.description, "dim"))
    output.print_table(rows)
    output.print_next_step("meno models backends")


@models.command("backends")
@with_client
def list_backends(client: Client, *, json: Json = False) -> None:
    """List the backends that serve language models.

    Example: [bold]meno models backends[/]
    """
    found = _backends(client)
    if json:
        output.print_json([to_dict(backend) for backend in found])
        return
    rows = output.table("id", "name", "provider", "address", "key", "enabled", no_wrap=("id",))
    for backend in found:
        provider = enum_name(backend, "provider")
        enabled = "yes" if backend.enabled else "no"
        row = (backend.backend_id, backend.name, provider, backend.base_url, backend.key_reference, enabled)
        rows.add_row(*map(output.cell, row))
    output.print_table(rows)
    output.print_next_step("meno models test NAME")


@models.command("test")
@with_client
def check_backend(
    client: Client,
    backend: Annotated[str, typer.Argument(metavar="BACKEND", help="name or id", show_default=False)],
    *,
    json: Json = False,
) -> None:
    """Test a backend by listing its models. The exit status is 1 if the backend cannot be used.

    Example: [bold]meno models test openai[/]
    """
    from meno.identity.v1.admin_service_pb2 import TestModelBackendRequest

    ids_by_name = {one.name: one.backend_id for one in _backends(client)}
    request = TestModelBackendRequest(backend_id=ids_by_name.get(backend, backend))
    if backend not in ids_by_name and backend not in ids_by_name.values():
        raise CliError(f"there is no backend {backend}: list the backends with `meno models backends`")
    with output.errors.status("testing"):
        tested = client.call(client.admin.TestModelBackend, request)
    if json:
        output.print_json(to_dict(tested))
    elif tested.reachable:
        output.print_text("[green]✓[/] {} answered in {} ms.", backend, tested.latency.ToMilliseconds())
        output.print_fields({"models": ", ".join(tested.model_names)})
    else:
        output.print_error(f"{backend} cannot be used: {tested.problem}")
    if not tested.reachable:
        raise typer.Exit(1)


def _backends(client: Client) -> "list[ModelBackend]":
    from meno.identity.v1.admin_service_pb2 import ListModelBackendsRequest

    rpc, request = client.admin.ListModelBackends, ListModelBackendsRequest()
    return [*client.list_all(rpc, request, lambda page: page.backends, 0)]


def _entry(client: Client, key: str) -> "ConfigEntry":
    from meno.identity.v1.admin_service_pb2 import GetConfigEntryRequest

    return client.call(client.admin.GetConfigEntry, GetConfigEntryRequest(key=key))


def _print_entry(entry: "ConfigEntry", *, json: bool) -> None:
    if json:
        output.print_json(to_dict(entry))
        return
    output.print_text("{} is now [bold]{}[/].", entry.key, _value(entry))


def _parse(entry: "ConfigEntry", text: str) -> Any:
    """Returns a value of the type of the entry. Raises CliError if the text is invalid."""
    from meno.identity.v1.resources_pb2 import ConfigType

    match entry.type:
        case ConfigType.CONFIG_TYPE_BOOLEAN if text.lower() in _TRUE_WORDS | _FALSE_WORDS:
            return text.lower() in _TRUE_WORDS
        case ConfigType.CONFIG_TYPE_BOOLEAN:
            raise CliError(f"{entry.key} must be true or false, not {text}")
        case ConfigType.CONFIG_TYPE_INTEGER:
            try:
                return int(text)
            except ValueError:
                raise CliError(f"{entry.key} must be a whole number, not {text}") from None
        case ConfigType.CONFIG_TYPE_CHOICES:
            return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _value(entry: "ConfigEntry") -> str:
    return _format(entry.value)


def _format(value: Any) -> str:
    """Returns a value in the form in which it is typed."""
    from google.protobuf.json_format import MessageToDict

    found: Any = MessageToDict(value)
    if isinstance(found, list):
        return ",".join(map(str, found))
    if isinstance(found, bool):
        return str(found).lower()
    return f"{found:g}" if isinstance(found, float) else str(found)
