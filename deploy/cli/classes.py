"""`meno class`: manages classes."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import output, prompts
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name, format_day, to_datetime, to_dict
from deploy.cli.options import ClassId, Json, Limit, Yes
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import Class

classes = typer.Typer(no_args_is_help=True)


class JoinRule(enum.StrEnum):
    """The rule for joining with the code."""

    OPEN = "OPEN"
    APPROVAL = "APPROVAL"
    CLOSED = "CLOSED"

    @property
    def proto_value(self) -> Any:
        """Returns the enum value of the contracts."""
        from meno.identity.v1.resources_pb2 import JoinPolicy

        return JoinPolicy.Value(f"JOIN_POLICY_{self.value}")


@classes.command("list")
@with_client
def list_classes(
    client: Client,
    *,
    of: Annotated[
        str, typer.Option(metavar="WHO", help="only the classes of this user; `me` means yourself")
    ] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="include deleted classes")] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List classes: all classes for an administrator, otherwise your own.

    Example: [bold]meno class list[/]
    Example: [bold]meno class list --of ana[/]
    """
    found = (
        _list_by_user(client, client.resolve_user_id(of), limit)
        if of
        else _list_all(client, limit, deleted=deleted)
    )
    if json:
        output.print_json([to_dict(one) for one in found])
        return
    rows = output.table("id", "title", "state", "joining", "created", no_wrap=("id", "state"))
    for one in found:
        state, joining = enum_name(one, "state"), enum_name(one, "join_policy")
        row = (one.class_id, one.title, state, joining, format_day(one.create_time))
        rows.add_row(*map(output.cell, row))
    output.print_list(output.fit_columns(rows), len(found), limit, "class", "classes")


@classes.command("show")
@with_client
def show_class(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Show a class.

    Example: [bold]meno class show 019ab0c4-…[/]
    """
    found = get_class(client, class_id)
    if json:
        output.print_json(to_dict(found))
        return
    output.print_fields(
        {
            "id": found.class_id,
            "title": found.title,
            "description": found.description,
            "state": enum_name(found, "state"),
            "joining": enum_name(found, "join_policy"),
            "join code": found.join_code,
            "created": to_datetime(found.create_time),
            "updated": to_datetime(found.update_time),
            "archived": to_datetime(found.archive_time),
            "deleted": to_datetime(found.delete_time),
            "will be purged": to_datetime(found.purge_time),
        }
    )
    output.print_next_step(f"meno class members {found.class_id}")


@classes.command("create")
@with_client
def create_class(
    client: Client,
    title: Annotated[str, typer.Argument(metavar="TITLE", show_default=False)],
    *,
    description: Annotated[str, typer.Option(help="description of the class")] = "",
    joining: Annotated[
        JoinRule, typer.Option(help="rule for joining with the code", case_sensitive=False)
    ] = JoinRule.OPEN,
    json: Json = False,
) -> None:
    """Create a class with yourself as its teacher.

    Example: [bold]meno class create "Algebra 7b" --joining APPROVAL[/]
    """
    from meno.identity.v1.class_service_pb2 import CreateClassRequest

    request = CreateClassRequest(title=title, description=description, join_policy=joining.proto_value)
    made = client.call(client.classes.CreateClass, request)
    client.renew()
    if json:
        output.print_json(to_dict(made))
        return
    output.print_text("Created {}: {}", made.title, made.class_id)
    output.print_text("Students join with the code [bold]{}[/].", made.join_code)
    output.print_next_step(f"meno class show {made.class_id}")


@classes.command("archive")
@with_client
def archive(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Archive a class. It becomes read-only within a second.

    Example: [bold]meno class archive 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import ArchiveClassRequest

    changed = client.call(client.classes.ArchiveClass, ArchiveClassRequest(class_id=class_id))
    _print_change(
        changed, "was archived and is read-only", json=json, undo=f"meno class unarchive {class_id}"
    )


@classes.command("unarchive")
@with_client
def unarchive(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Unarchive a class, so that it can be changed again.

    Example: [bold]meno class unarchive 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import UnarchiveClassRequest

    changed = client.call(client.classes.UnarchiveClass, UnarchiveClassRequest(class_id=class_id))
    _print_change(changed, "was unarchived", json=json)


@classes.command("delete")
@with_client
def delete_class(client: Client, class_id: ClassId, *, yes: Yes = False, json: Json = False) -> None:
    """Delete a class. It can be restored until it is purged.

    Example: [bold]meno class delete 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import DeleteClassRequest

    if not yes:
        prompts.confirm(f"Delete {get_class(client, class_id).title} for all its members?", yes=yes)
    deleted = client.call(client.classes.DeleteClass, DeleteClassRequest(class_id=class_id))
    _print_change(deleted, "was deleted", json=json, undo=f"meno class undelete {class_id}")


@classes.command("undelete")
@with_client
def undelete_class(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Restore a deleted class with its members and contents.

    Example: [bold]meno class undelete 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import UndeleteClassRequest

    restored = client.call(client.classes.UndeleteClass, UndeleteClassRequest(class_id=class_id))
    _print_change(restored, "was restored", json=json)


@classes.command("rotate-code")
@with_client
def rotate_code(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Replace the join code of a class. The old code stops working.

    Example: [bold]meno class rotate-code 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import RotateJoinCodeRequest

    changed = client.call(client.classes.RotateJoinCode, RotateJoinCodeRequest(class_id=class_id))
    code = f": {changed.join_code}" if changed.join_code else ", which its teachers can see"
    _print_change(changed, f"has a new join code{code}", json=json)


def get_class(client: Client, class_id: str) -> "Class":
    """Returns a class. Raises CliError if the call fails."""
    from meno.identity.v1.class_service_pb2 import GetClassRequest

    return client.call(client.classes.GetClass, GetClassRequest(class_id=class_id))


def _list_by_user(client: Client, user_id: str, limit: int) -> "list[Class]":
    from meno.identity.v1.class_service_pb2 import ListClassesRequest

    request = ListClassesRequest(user_id=user_id)
    return [*client.list_all(client.classes.ListClasses, request, lambda page: page.classes, limit)]


def _list_all(client: Client, limit: int, *, deleted: bool) -> "list[Class]":
    from meno.identity.v1.class_service_pb2 import ListAllClassesRequest

    request = ListAllClassesRequest(show_deleted=deleted)
    try:
        return [*client.list_all(client.classes.ListAllClasses, request, lambda page: page.classes, limit)]
    except CliError as error:
        # Only administrators may list all classes.
        if getattr(error, "reason", "") != "ACCESS_DENIED" or deleted:
            raise
        return _list_by_user(client, "me", limit)


def _print_change(changed: "Class", change: str, *, json: bool, undo: str = "") -> None:
    if json:
        output.print_json(to_dict(changed))
        return
    output.print_text("{} {}.", changed.title, change)
    if undo:
        output.print_next_step(undo, "undoes it")
