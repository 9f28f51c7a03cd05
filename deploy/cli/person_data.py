"""`meno user export`, `erase` and `erasure`: what is known of a person, and how it is forgotten."""

import json as serialising
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

from deploy.cli import asking, screen, wire
from deploy.cli.client import Client, connected
from deploy.cli.options import Json, Who, Yes
from deploy.cli.people import people
from deploy.stack.errors import CliError
from deploy.stack.layout import SERVICES

if TYPE_CHECKING:
    from meno.identity.v1.user_service_pb2 import Erasure

_LOOK_EVERY = 0.5


@people.command("export")
@connected
def export(
    client: Client,
    who: Who,
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="where to; `-` is the standard output"),
    ],
) -> None:
    """Export whatever the four services know of a person, as JSON lines: one row a line.

    The file is there only when all of it has arrived. Exports are audited.

    Example: [bold]meno user export ana --output ana.jsonl[/]
    """
    user_id = client.user_id(who)
    rows = 0
    with _whole(output) as file, screen.errors.status("asking") as status:
        for service in SERVICES:
            for line in _exported(client, service, user_id):
                file.write(serialising.dumps(line, ensure_ascii=False) + "\n")
                rows += "fields" in line
                status.update(f"{service}: {rows} rows")
    if output != "-":
        screen.say("{} rows of {} are in [bold]{}[/].", rows, who, output)


@people.command("erase")
@connected
def erase(
    client: Client,
    who: Who,
    *,
    yes: Yes = False,
    wait: Annotated[bool, typer.Option("--wait", help="until every service is done")] = False,
    json: Json = False,
) -> None:
    """Erase a person: whatever names them is deleted everywhere. It cannot be undone.

    Asks for the name to be typed in, unless --yes is given.

    Example: [bold]meno user erase ana[/]
    """
    from meno.identity.v1.user_service_pb2 import EraseUserRequest

    user_id = client.user_id(who)
    if not yes:
        person = client.user(who)
        named = person.login_name or person.email or person.phone or person.display_name or who
        whole = f"{person.display_name} ({named})" if named != person.display_name else named
        asking.confirm_by_name(f"{whole} will be erased from all services, for good.", named, yes=yes)
    erasure = client.call(client.users.EraseUser, EraseUserRequest(user_id=user_id, confirmation="ERASE"))
    if wait:
        erasure = _awaited(client, user_id)
    _shown(erasure, json=json)


@people.command("erasure")
@connected
def erasure(
    client: Client,
    user_id: Annotated[str, typer.Argument(metavar="ID", help="of the person", show_default=False)],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="until every service is done")] = False,
    json: Json = False,
) -> None:
    """Show the receipts of an erasure: which services hold nothing of the person any more.

    Example: [bold]meno user erasure 019ab0c4-… --wait[/]
    """
    from meno.identity.v1.user_service_pb2 import GetErasureRequest

    found = client.call(client.users.GetErasure, GetErasureRequest(user_id=user_id))
    _shown(_awaited(client, user_id) if wait else found, json=json)


def _awaited(client: Client, user_id: str) -> "Erasure":
    """The erasure once it is complete, with progress meanwhile."""
    from meno.identity.v1.user_service_pb2 import GetErasureRequest

    with screen.errors.status("erasing") as status:
        while True:
            found = client.call(client.users.GetErasure, GetErasureRequest(user_id=user_id))
            if found.HasField("complete_time"):
                return found
            done = {receipt.service for receipt in found.receipts}
            waiting = [service for service in SERVICES if service not in done]
            status.update(f"waiting for {', '.join(waiting)}")
            time.sleep(_LOOK_EVERY)


def _shown(found: "Erasure", *, json: bool) -> None:
    if json:
        screen.as_json(wire.as_dict(found))
        return
    receipts = {receipt.service: receipt for receipt in found.receipts}
    shown = screen.table("", "service", "rows", "done", whole=("service",))
    for service in SERVICES:
        receipt = receipts.get(service)
        if receipt is None:
            shown.add_row(Text("…", style="yellow"), screen.cell(service), "", "not yet")
        else:
            when = screen.cell(wire.time(receipt.create_time))
            shown.add_row(Text("✓", style="green"), screen.cell(service), str(receipt.rows), when)
    screen.show(shown)
    if found.HasField("complete_time"):
        screen.say("Nothing is left of {} but this id.", found.user_id)
    else:
        screen.after(f"meno user erasure {found.user_id} --wait")


def _exported(client: Client, service: str, user_id: str) -> Iterator[dict[str, Any]]:
    """Every row of a service, then what it holds back. Raises CliError where the export is not whole."""
    from google.protobuf.json_format import MessageToDict

    from meno.access.v1.data_rights_pb2 import ExportUserDataRequest

    for step in client.stream(_export_of(client, service), ExportUserDataRequest(user_id=user_id)):
        if step.HasField("record"):
            fields = _whole_numbers(MessageToDict(step.record.fields))
            yield {"service": service, "collection": step.record.collection, "fields": fields}
        elif step.HasField("done"):
            yield {"service": service, "rows": step.done.records, "withheld": dict(step.done.withheld)}
            return
        else:
            raise CliError(f"the export of {service} broke off: {step.error.message} Begin it anew.")
    raise CliError(f"the export of {service} broke off: begin it anew")


def _whole_numbers(value: Any) -> Any:
    """A value of a Struct, whose numbers are doubles, as it was."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _whole_numbers(one) for name, one in value.items()}
        case list():
            return [_whole_numbers(one) for one in value]
    return value


def _export_of(client: Client, service: str) -> Any:
    import importlib

    context = service.removesuffix("_service")
    module = importlib.import_module(f"meno.{context}.v1.data_rights_service_pb2_grpc")
    return module.DataRightsServiceStub(client.channel).ExportUserData


@contextmanager
def _whole(output: str) -> Iterator[IO[str]]:
    """A file for its owner alone that is there at the end, and only where all went well."""
    if output == "-":
        yield sys.stdout
        return
    target = Path(output)
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
        raise CliError(f"cannot write {output}: {error.strerror or error}") from error
