"""`meno audit`: who did what to whom."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from deploy.cli import credentials, screen, wire
from deploy.cli.client import Client, connected
from deploy.cli.options import Json, Limit, id_of_class
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.access.v1.audit_service_pb2 import AuditEntry

audit = typer.Typer(no_args_is_help=True)

_WIDE_ENOUGH = 140
"""Columns for an entry in one line: two ids are most of it."""


@audit.command("list")
@connected
def list_entries(
    client: Client,
    *,
    user: Annotated[str, typer.Option(metavar="WHO", help="only what was done to this person")] = "",
    actor: Annotated[str, typer.Option(metavar="WHO", help="only what this person did")] = "",
    class_id: Annotated[
        str, typer.Option("--class", metavar="CLASS", help="only what was done in it", callback=id_of_class)
    ] = "",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List audit entries, newest first: all, or those of one person, actor or class.

    Example: [bold]meno audit list --user ana[/]
    Example: [bold]meno audit list --actor root --limit 200[/]
    """
    from meno.access.v1.audit_service_pb2 import ListAuditEntriesRequest

    if sum(map(bool, (user, actor, class_id))) > 1:
        raise typer.BadParameter("give one of --user, --actor and --class")
    request = ListAuditEntriesRequest(
        user_id=client.user_id(user) if user else "",
        actor_user_id=client.user_id(actor) if actor else "",
        class_id=class_id,
    )
    found = [*client.pages(client.audit.ListAuditEntries, request, lambda page: page.entries, limit)]
    if json:
        screen.as_json([wire.as_dict(entry) for entry in found])
        return
    shown = _table(found) if screen.console.width >= _WIDE_ENOUGH else _narrow_table(found)
    screen.listed(shown, len(found), limit, "entry", "entries")


@audit.command("verify")
@connected
def verify(
    client: Client,
    *,
    forget: Annotated[
        bool, typer.Option("--forget", help="begin anew: forget the last entry that was seen before")
    ] = False,
    json: Json = False,
) -> None:
    """Read the whole chain and say whether it is unbroken.

    The last entry is remembered beside your sign-in, and given back next
    time: then a chain that was shortened or written anew is noticed, too.

    Example: [bold]meno audit verify[/]
    """
    from meno.access.v1.audit_service_pb2 import VerifyAuditChainRequest

    kept = {} if forget else credentials.read(client.place.audit_head)
    request = VerifyAuditChainRequest(
        known_sequence=int(kept.get("sequence", 0)), known_digest=str(kept.get("digest", ""))
    )
    verdict = None
    with screen.errors.status("verifying") as status:
        for step in client.stream(client.audit.VerifyAuditChain, request):
            if step.HasField("error"):
                raise CliError(f"the verification broke off: {step.error.message} Begin it anew.")
            verdict = step.done if step.HasField("done") else verdict
            status.update(f"verified {step.verified_count} entries")
    if verdict is None:
        raise CliError("the verification broke off: begin it anew")
    if verdict.unbroken and verdict.head_sequence:
        head = {"sequence": verdict.head_sequence, "digest": verdict.head_digest}
        credentials.write(client.place.audit_head, head)
    if json:
        screen.as_json(wire.as_dict(verdict))
    elif verdict.unbroken:
        screen.say("[green]✓[/] {} entries, unbroken.", verdict.head_sequence)
        if request.known_sequence:
            what = (
                "the last one of the backup that was restored"
                if kept.get("restored")
                else "which was the last one seen before"
            )
            screen.say("[dim]Entry {}, {}, is among them.[/]", request.known_sequence, what)
    if not verdict.unbroken:
        if not json:
            _broken(verdict.broken_sequence, request.known_sequence)
        raise typer.Exit(1)


def _broken(sequence: int, known: int) -> None:
    screen.problem(f"the audit chain is broken at entry {sequence}: it was changed, or is missing")
    if known >= sequence:
        screen.say(
            "[dim]Entry {} was there before. After a restore that is so: `meno audit verify --forget`.[/]",
            known,
        )


def _table(found: "list[AuditEntry]") -> Table:
    shown = screen.table("#", "when", "action", "to", "by", "more", whole=("to", "by"))
    for entry in found:
        when = wire.time(entry.occur_time)
        row = (entry.sequence, when, _action(entry), _to(entry), _by(entry), _details(entry))
        shown.add_row(*map(screen.cell, row))
    return shown


def _narrow_table(found: "list[AuditEntry]") -> Table:
    """The same with an entry in several lines."""
    shown = screen.table("#", "when", "what", whole=("when",))
    for entry in found:
        to = f"to {_to(entry)}" if _to(entry) else ""
        lines = (" ".join((_action(entry), _details(entry))), to, f"by {_by(entry)}")
        what = Text("\n").join(screen.cell(line) for line in lines if line)
        shown.add_row(screen.cell(entry.sequence), screen.cell(wire.time(entry.occur_time)), what)
    return shown


def _action(entry: "AuditEntry") -> str:
    from meno.access.v1.audit_service_pb2 import AuditAction

    return AuditAction.Name(entry.action).removeprefix("AUDIT_ACTION_")


def _to(entry: "AuditEntry") -> str:
    return entry.user_id or entry.class_id or entry.resource_id


def _by(entry: "AuditEntry") -> str:
    return entry.actor_user_id or entry.service


def _details(entry: "AuditEntry") -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(entry.details.items()))
