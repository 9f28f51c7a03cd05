"""`meno class`: manages classes and their members."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import output, prompts
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import format_day, to_datetime, to_dict
from deploy.cli.options import ClassId, Json, Limit, Who, Yes
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import Class, Membership

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


class Role(enum.StrEnum):
    """A role in a class."""

    STUDENT = "STUDENT"
    TEACHER = "TEACHER"

    @property
    def proto_value(self) -> Any:
        """Returns the enum value of the contracts."""
        from meno.access.v1.access_pb2 import ClassRole

        return ClassRole.Value(f"CLASS_ROLE_{self.value}")


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
        row = (one.class_id, one.title, _state(one), _joining(one), format_day(one.create_time))
        rows.add_row(*map(output.cell, row))
    output.print_list(output.fit_columns(rows), len(found), limit, "class", "classes")


@classes.command("show")
@with_client
def show_class(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Show a class.

    Example: [bold]meno class show 019ab0c4-…[/]
    """
    found = _get_class(client, class_id)
    if json:
        output.print_json(to_dict(found))
        return
    output.print_fields(
        {
            "id": found.class_id,
            "title": found.title,
            "description": found.description,
            "state": _state(found),
            "joining": _joining(found),
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


@classes.command("members")
@with_client
def members(
    client: Client,
    class_id: ClassId,
    *,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="only pending members, who wait for approval")
    ] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List the members of a class in the order in which they joined.

    Example: [bold]meno class members 019ab0c4-… --waiting[/]
    """
    from meno.identity.v1.class_service_pb2 import ListMembershipsRequest
    from meno.identity.v1.resources_pb2 import MembershipStatus

    status = (
        MembershipStatus.MEMBERSHIP_STATUS_PENDING if waiting else MembershipStatus.MEMBERSHIP_STATUS_ACTIVE
    )
    request = ListMembershipsRequest(class_id=class_id, status=status)
    found = [*client.list_all(client.classes.ListMemberships, request, lambda page: page.memberships, limit)]
    if json:
        output.print_json([to_dict(one) for one in found])
        return
    rows = output.table("id", "name", "role", "since", "roster", no_wrap=("id", "role"))
    for one in found:
        since = format_day(one.create_time)
        row = (one.user_id, one.display_name, _role(one), since, "yes" if one.rostered else "")
        rows.add_row(*map(output.cell, row))
    if waiting and not found:
        output.print_text("No pending members.")
    else:
        output.print_list(output.fit_columns(rows), len(found), limit, "member", "members")


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
        prompts.confirm(f"Delete {_get_class(client, class_id).title} for all its members?", yes=yes)
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


@classes.command("add")
@with_client
def add(
    client: Client,
    class_id: ClassId,
    who: Who,
    *,
    role: Annotated[
        Role | None,
        typer.Option(help="role in the class; default for a new member: STUDENT", case_sensitive=False),
    ] = None,
    json: Json = False,
) -> None:
    """Add a user to a class, or change the role of a member.

    Example: [bold]meno class add 019ab0c4-… ana --role TEACHER[/]
    """
    from meno.access.v1.access_pb2 import ClassRole
    from meno.identity.v1.class_service_pb2 import AddMembershipRequest, SetMembershipRoleRequest

    user_id = client.resolve_user_id(who)
    previous = _find_member(client, class_id, user_id)
    new_role = role.proto_value if role else ClassRole.CLASS_ROLE_UNSPECIFIED
    if previous is None:
        request = AddMembershipRequest(class_id=class_id, user_id=user_id, role=new_role)
        membership = client.call(client.classes.AddMembership, request)
    elif role and previous.role != new_role:
        change = SetMembershipRoleRequest(class_id=class_id, user_id=user_id, role=new_role)
        membership = client.call(client.classes.SetMembershipRole, change)
    else:
        membership = previous
    if membership != previous and user_id == client.signed_in.user_id:
        client.renew()
    if json:
        output.print_json(to_dict(membership))
        return
    name, title = membership.display_name, _get_class(client, class_id).title
    role_name = _role(membership)
    if previous is None:
        output.print_text(
            "{} was added to {} as {}. This takes effect when the token of the user is refreshed.",
            name,
            title,
            role_name,
        )
    elif membership.role != previous.role:
        output.print_text("{} is now {} in {}.", name, role_name, title)
    else:
        output.print_text("{} is already {} in {}.", name, role_name, title)
    output.print_next_step(f"meno class members {class_id}")


@classes.command("join")
@with_client
def join(
    client: Client,
    code: Annotated[str, typer.Argument(metavar="CODE", help="the join code", show_default=False)],
    *,
    json: Json = False,
) -> None:
    """Join a class with its code.

    Example: [bold]meno class join 8UK9-Z7RB[/]
    """
    from meno.identity.v1.class_service_pb2 import JoinClassRequest
    from meno.identity.v1.resources_pb2 import MembershipStatus

    request = JoinClassRequest(user_id=client.signed_in.user_id, join_code=code)
    membership = client.call(client.classes.JoinClass, request)
    client.renew()
    if json:
        output.print_json(to_dict(membership))
    elif membership.status == MembershipStatus.MEMBERSHIP_STATUS_PENDING:
        output.print_text("Your request waits for the approval of a teacher.")
    else:
        title = _get_class(client, membership.class_id).title
        output.print_text("You joined {} as {}.", title, _role(membership))
        output.print_next_step(f"meno class show {membership.class_id}")


@classes.command("remove")
@with_client
def remove(client: Client, class_id: ClassId, who: Who, *, yes: Yes = False) -> None:
    """Remove a member. A removed member cannot rejoin with the join code.

    Example: [bold]meno class remove 019ab0c4-… ana[/]
    """
    from meno.identity.v1.class_service_pb2 import RemoveMembershipRequest

    user_id, title = client.resolve_user_id(who), _get_class(client, class_id).title
    member = _find_member(client, class_id, user_id)
    name = member.display_name if member else who
    prompts.confirm(f"Remove {name} from {title}?", yes=yes)
    request = RemoveMembershipRequest(class_id=class_id, user_id=user_id)
    client.call(client.classes.RemoveMembership, request)
    output.print_text("{} was removed from {}.", name, title)
    role = f" --role {_role(member)}" if member else ""
    output.print_next_step(f"meno class add {class_id} {user_id}{role}", "undoes it")


def _get_class(client: Client, class_id: str) -> "Class":
    from meno.identity.v1.class_service_pb2 import GetClassRequest

    return client.call(client.classes.GetClass, GetClassRequest(class_id=class_id))


def _find_member(client: Client, class_id: str, user_id: str) -> "Membership | None":
    """Returns the membership of a user in a class, or None."""
    from meno.identity.v1.class_service_pb2 import ListMembershipsRequest

    request = ListMembershipsRequest(class_id=class_id)
    members = client.list_all(client.classes.ListMemberships, request, lambda page: page.memberships, 0)
    return next((one for one in members if one.user_id == user_id), None)


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


def _role(member: "Membership") -> str:
    from meno.access.v1.access_pb2 import ClassRole

    return ClassRole.Name(member.role).removeprefix("CLASS_ROLE_")


def _state(found: "Class") -> str:
    from meno.access.v1.access_pb2 import ClassState

    return ClassState.Name(found.state).removeprefix("CLASS_STATE_").replace("UNSPECIFIED", "")


def _joining(found: "Class") -> str:
    from meno.identity.v1.resources_pb2 import JoinPolicy

    return JoinPolicy.Name(found.join_policy).removeprefix("JOIN_POLICY_").replace("UNSPECIFIED", "")
