"""`meno user export`, `erase` and `erasure`: exports and erases the data of a user."""

import json as json_module
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from deploy.cli import output, prompts
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import to_datetime, to_dict
from deploy.cli.options import Json, Who, Yes
from deploy.cli.users import users
from deploy.stack.errors import CliError
from deploy.stack.layout import SERVICES

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import Erasure

_POLL_INTERVAL_SECONDS = 0.5


@users.command("export")
@with_client
def export(
    client: Client,
    who: Who,
    *,
    path: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="the file to write; `-` means standard output"),
    ],
) -> None:
    """Export the data of a user from all services as JSON lines, one row a line.

    The file is created only if the export is complete. Exports are audited.

    Example: [bold]meno user export ana --output ana.jsonl[/]
    """
    user_id = client.resolve_user_id(who)
    rows = 0
    with _open_atomically(path) as file, output.errors.status("exporting") as status:
        for service in SERVICES:
            for line in _export_rows(client, service, user_id):
                file.write(json_module.dumps(line, ensure_ascii=False) + "\n")
                rows += "fields" in line
                status.update(f"{service}: {rows} rows")
    if path != "-":
        output.print_text("Exported {} rows of {} to [bold]{}[/].", rows, who, path)


@users.command("erase")
@with_client
def erase(
    client: Client,
    who: Who,
    *,
    yes: Yes = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="wait until every service has erased the data")
    ] = False,
    json: Json = False,
) -> None:
    """Erase all personal data of a user from all services. This cannot be undone.

    The name has to be typed in for confirmation, unless --yes is given.

    Example: [bold]meno user erase ana[/]
    """
    from meno.identity.v1.user_service_pb2 import EraseUserRequest

    user_id = client.resolve_user_id(who)
    if not yes:
        person = client.get_user(who)
        name = person.login_name or person.email or person.phone or person.display_name or who
        label = f"{person.display_name} ({name})" if name != person.display_name else name
        prompts.confirm_by_name(
            f"{label} will be erased from all services. This cannot be undone.", name, yes=yes
        )
    erasure = client.call(client.users.EraseUser, EraseUserRequest(user_id=user_id, confirmation="ERASE"))
    if wait:
        erasure = _wait_for_erasure(client, user_id)
    _print_erasure(erasure, json=json)


@users.command("erasure")
@with_client
def erasure(
    client: Client,
    user_id: Annotated[str, typer.Argument(metavar="ID", help="id of the user", show_default=False)],
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="wait until every service has erased the data")
    ] = False,
    json: Json = False,
) -> None:
    """Show the receipts of an erasure: the services that have erased the user.

    Example: [bold]meno user erasure 019ab0c4-… --wait[/]
    """
    from meno.identity.v1.user_service_pb2 import GetErasureRequest

    found = client.call(client.users.GetErasure, GetErasureRequest(user_id=user_id))
    _print_erasure(_wait_for_erasure(client, user_id) if wait else found, json=json)


def _wait_for_erasure(client: Client, user_id: str) -> "Erasure":
    """Polls until the erasure is complete, shows the progress, and returns the erasure."""
    from meno.identity.v1.user_service_pb2 import GetErasureRequest

    with output.errors.status("erasing") as status:
        while True:
            found = client.call(client.users.GetErasure, GetErasureRequest(user_id=user_id))
            if found.HasField("complete_time"):
                return found
            done = {receipt.service for receipt in found.receipts}
            waiting = [service for service in SERVICES if service not in done]
            status.update(f"waiting for {', '.join(waiting)}")
            time.sleep(_POLL_INTERVAL_SECONDS)


def _print_erasure(found: "Erasure", *, json: bool) -> None:
    if json:
        output.print_json(to_dict(found))
        return
    receipts = {receipt.service: receipt for receipt in found.receipts}
    rows = output.table("", "service", "rows", "erased", no_wrap=("service",))
    for service in SERVICES:
        receipt = receipts.get(service)
        if receipt is None:
            rows.add_row(Text("…", style="yellow"), output.cell(service), "", "not yet")
        else:
            when = output.cell(to_datetime(receipt.create_time))
            rows.add_row(Text("✓", style="green"), output.cell(service), str(receipt.rows), when)
    output.print_table(rows)
    if found.HasField("complete_time"):
        output.print_text("The erasure of {} is complete. Only the id remains.", found.user_id)
    else:
        output.print_next_step(f"meno user erasure {found.user_id} --wait")


def _export_rows(client: Client, service: str, user_id: str) -> Iterator[dict[str, Any]]:
    """Yields every row of a service, then the summary with the withheld columns.

    Raises CliError if the export is incomplete.
    """
    from google.protobuf.json_format import MessageToDict

    from meno.access.v1.data_rights_pb2 import ExportUserDataRequest

    for step in client.stream(_export_rpc(client, service), ExportUserDataRequest(user_id=user_id)):
        if step.HasField("record"):
            fields = _restore_integers(MessageToDict(step.record.fields))
            yield {"service": service, "collection": step.record.collection, "fields": fields}
        elif step.HasField("done"):
            yield {
                "service": service,
                "rows": step.done.records,
                "withheld": dict(step.done.excluded_columns),
            }
            return
        else:
            raise CliError(f"the export from {service} failed: {step.error.message} Run it again.")
    raise CliError(f"the export from {service} ended early: run it again")


def _restore_integers(value: Any) -> Any:
    """Returns a value of a Struct with its whole numbers as integers; a Struct has only doubles."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _restore_integers(one) for name, one in value.items()}
        case list():
            return [_restore_integers(one) for one in value]
    return value


def _export_rpc(client: Client, service: str) -> Any:
    import importlib

    context = service.removesuffix("_service")
    module = importlib.import_module(f"meno.{context}.v1.data_rights_service_pb2_grpc")
    return module.DataRightsServiceStub(client.channel).ExportUserData


@contextmanager
def _open_atomically(path: str) -> Iterator[IO[str]]:
    """Opens a file that only its owner can read. It appears only if the body succeeds.

    Raises CliError if the file cannot be written.
    """
    if path == "-":
        yield sys.stdout
        return
    target = Path(path)
    try:
        descriptor, scratch = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                yield file
            Path(scratch).replace(target)
        finally:
            with suppress(OSError):
                Path(scratch).unlink(missing_ok=True)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror or error}") from error
