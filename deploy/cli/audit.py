"""`meno audit`: lists and verifies the audit entries."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from deploy.cli import credentials, output
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name, to_datetime, to_dict
from deploy.cli.options import Json, Limit, check_class_id
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.access.v1.resources_pb2 import AuditEntry

audit = typer.Typer(no_args_is_help=True)

_MIN_COLUMNS = 140
"""The width that an entry needs on one line, mostly for its two ids."""


@audit.command("list")
@with_client
def list_entries(
    client: Client,
    *,
    user: Annotated[str, typer.Option(metavar="WHO", help="only actions on this user")] = "",
    actor: Annotated[str, typer.Option(metavar="WHO", help="only actions by this user")] = "",
    class_id: Annotated[
        str,
        typer.Option("--class", metavar="CLASS", help="only actions in this class", callback=check_class_id),
    ] = "",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List audit entries, newest first, optionally of one user, actor or class.

    Example: [bold]meno audit list --user ana[/]
    Example: [bold]meno audit list --actor root --limit 200[/]
    """
    from meno.access.v1.audit_service_pb2 import ListAuditEntriesRequest

    if sum(map(bool, (user, actor, class_id))) > 1:
        raise typer.BadParameter("give only one of --user, --actor and --class")
    request = ListAuditEntriesRequest(
        user_id=client.resolve_user_id(user) if user else "",
        actor_user_id=client.resolve_user_id(actor) if actor else "",
        class_id=class_id,
    )
    found = [*client.list_all(client.audit.ListAuditEntries, request, lambda page: page.entries, limit)]
    if json:
        output.print_json([to_dict(entry) for entry in found])
        return
    rows = _table(found) if output.console.width >= _MIN_COLUMNS else _narrow_table(found)
    output.print_list(rows, len(found), limit, "entry", "entries")


@audit.command("verify")
@with_client
def verify(
    client: Client,
    *,
    forget: Annotated[
        bool, typer.Option("--forget", help="ignore the last entry seen by an earlier verification")
    ] = False,
    json: Json = False,
) -> None:
    """Verify the whole chain of audit entries.

    The last entry is stored next to your sign-in and is checked by the next
    verification. It detects a chain that was shortened or rewritten.

    Example: [bold]meno audit verify[/]
    """
    from meno.access.v1.audit_service_pb2 import VerifyAuditChainRequest

    stored = {} if forget else credentials.read(client.target.audit_head)
    request = VerifyAuditChainRequest(
        known_sequence=int(stored.get("sequence", 0)), known_digest=str(stored.get("digest", ""))
    )
    verdict = None
    with output.errors.status("verifying") as status:
        for step in client.stream(client.audit.VerifyAuditChain, request):
            if step.HasField("error"):
                raise CliError(f"the verification failed: {step.error.message} Run it again.")
            verdict = step.done if step.HasField("done") else verdict
            status.update(f"verified {step.verified_count} entries")
    if verdict is None:
        raise CliError("the verification ended early: run it again")
    if verdict.intact and verdict.head_sequence:
        head = {"sequence": verdict.head_sequence, "digest": verdict.head_digest}
        credentials.write(client.target.audit_head, head)
    if json:
        output.print_json(to_dict(verdict))
    elif verdict.intact:
        output.print_text("[green]✓[/] The chain of {} entries is intact.", verdict.head_sequence)
        if request.known_sequence:
            origin = "of the restored backup" if stored.get("restored") else "seen before"
            output.print_text(
                "[dim]It contains entry {}, the last one {}.[/]", request.known_sequence, origin
            )
    if not verdict.intact:
        if not json:
            _print_broken(verdict.broken_sequence, request.known_sequence)
        raise typer.Exit(1)


def _print_broken(sequence: int, known: int) -> None:
    output.print_error(f"the audit chain is broken at entry {sequence}, which was changed or is missing")
    if known >= sequence:
        output.print_text(
            "[dim]An earlier verification saw entry {}. After a restore, run `meno audit verify --forget`.[/]",
            known,
        )


def _table(found: "list[AuditEntry]") -> Table:
    rows = output.table("#", "time", "action", "to", "by", "details", no_wrap=("to", "by"))
    for entry in found:
        when = to_datetime(entry.occur_time)
        row = (entry.sequence, when, enum_name(entry, "action"), _to(entry), _by(entry), _details(entry))
        rows.add_row(*map(output.cell, row))
    return rows


def _narrow_table(found: "list[AuditEntry]") -> Table:
    """Returns a table with several lines for each entry."""
    rows = output.table("#", "time", "entry", no_wrap=("time",))
    for entry in found:
        to = f"to {_to(entry)}" if _to(entry) else ""
        lines = (" ".join((enum_name(entry, "action"), _details(entry))), to, f"by {_by(entry)}")
        text = Text("\n").join(output.cell(line) for line in lines if line)
        rows.add_row(output.cell(entry.sequence), output.cell(to_datetime(entry.occur_time)), text)
    return rows


def _to(entry: "AuditEntry") -> str:
    return entry.user_id or entry.class_id or entry.resource_id


def _by(entry: "AuditEntry") -> str:
    return entry.actor_user_id or entry.service


def _details(entry: "AuditEntry") -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(entry.details.items()))
