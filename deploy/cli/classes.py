"""`meno class`: classes and who is in them."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import asking, screen, wire
from deploy.cli.client import Client, connected
from deploy.cli.options import ClassId, Json, Limit, Who, Yes
from deploy.stack.errors import CliError

if TYPE_CHECKING:
    from meno.identity.v1.class_service_pb2 import Class, Membership

classes = typer.Typer(no_args_is_help=True)


class Joining(enum.StrEnum):
    """Who may join with the code."""

    OPEN = "OPEN"
    APPROVAL = "APPROVAL"
    CLOSED = "CLOSED"

    @property
    def number(self) -> Any:
        """As the contracts have it."""
        from meno.identity.v1.class_service_pb2 import JoinPolicy

        return JoinPolicy.Value(f"JOIN_POLICY_{self.value}")


class Role(enum.StrEnum):
    """A role in a class."""

    STUDENT = "STUDENT"
    TEACHER = "TEACHER"

    @property
    def number(self) -> Any:
        """As the contracts have it."""
        from meno.access.v1.access_pb2 import ClassRole

        return ClassRole.Value(f"CLASS_ROLE_{self.value}")


@classes.command("list")
@connected
def list_classes(
    client: Client,
    *,
    of: Annotated[str, typer.Option(metavar="WHO", help="a person's classes; `me` is you")] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="those that were deleted, too")] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List classes: all of them to an administrator, one's own to everybody else.

    Example: [bold]meno class list[/]
    Example: [bold]meno class list --of ana[/]
    """
    found = _of(client, client.user_id(of), limit) if of else _all(client, limit, deleted=deleted)
    if json:
        screen.as_json([wire.as_dict(one) for one in found])
        return
    shown = screen.table("id", "title", "state", "joining", "created", whole=("id", "state"))
    for one in found:
        row = (one.class_id, one.title, _state(one), _joining(one), wire.day(one.create_time))
        shown.add_row(*map(screen.cell, row))
    screen.listed(screen.fitting(shown), len(found), limit, "class", "classes")


@classes.command("show")
@connected
def show_class(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Show a class.

    Example: [bold]meno class show 019ab0c4-…[/]
    """
    found = _class(client, class_id)
    if json:
        screen.as_json(wire.as_dict(found))
        return
    screen.sheet(
        {
            "id": found.class_id,
            "title": found.title,
            "description": found.description,
            "state": _state(found),
            "joining": _joining(found),
            "join code": found.join_code,
            "created": wire.time(found.create_time),
            "changed": wire.time(found.update_time),
            "archived": wire.time(found.archive_time),
            "deleted": wire.time(found.delete_time),
            "is purged": wire.time(found.purge_time),
        }
    )
    screen.after(f"meno class members {found.class_id}")


@classes.command("create")
@connected
def create_class(
    client: Client,
    title: Annotated[str, typer.Argument(metavar="TITLE", show_default=False)],
    *,
    description: Annotated[str, typer.Option(help="what it is about")] = "",
    joining: Annotated[
        Joining, typer.Option(help="who may join with the code", case_sensitive=False)
    ] = Joining.OPEN,
    json: Json = False,
) -> None:
    """Create a class with yourself as its teacher.

    Example: [bold]meno class create "Algebra 7b" --joining APPROVAL[/]
    """
    from meno.identity.v1.class_service_pb2 import CreateClassRequest

    request = CreateClassRequest(title=title, description=description, join_policy=joining.number)
    made = client.call(client.classes.CreateClass, request)
    client.renew()
    if json:
        screen.as_json(wire.as_dict(made))
        return
    screen.say("{} is {}", made.title, made.class_id)
    screen.say("Students join with the code [bold]{}[/].", made.join_code)
    screen.after(f"meno class show {made.class_id}")


@classes.command("members")
@connected
def members(
    client: Client,
    class_id: ClassId,
    *,
    waiting: Annotated[bool, typer.Option("--waiting", help="those who wait for approval")] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List the members of a class in the order in which they joined.

    Example: [bold]meno class members 019ab0c4-… --waiting[/]
    """
    from meno.identity.v1.class_service_pb2 import ListMembershipsRequest, MembershipStatus

    status = (
        MembershipStatus.MEMBERSHIP_STATUS_PENDING if waiting else MembershipStatus.MEMBERSHIP_STATUS_ACTIVE
    )
    request = ListMembershipsRequest(class_id=class_id, status=status)
    found = [*client.pages(client.classes.ListMemberships, request, lambda page: page.memberships, limit)]
    if json:
        screen.as_json([wire.as_dict(one) for one in found])
        return
    shown = screen.table("id", "name", "role", "since", "roster", whole=("id", "role"))
    for one in found:
        since = wire.day(one.create_time)
        row = (one.user_id, one.display_name, _role(one), since, "yes" if one.rostered else "")
        shown.add_row(*map(screen.cell, row))
    if waiting and not found:
        screen.say("Nobody waits.")
    else:
        screen.listed(screen.fitting(shown), len(found), limit, "member", "members")


@classes.command("archive")
@connected
def archive(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Make a class read-only, everywhere within a second.

    Example: [bold]meno class archive 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import ArchiveClassRequest

    changed = client.call(client.classes.ArchiveClass, ArchiveClassRequest(class_id=class_id))
    _done(changed, "is read-only", json=json, after=f"meno class unarchive {class_id}")


@classes.command("unarchive")
@connected
def unarchive(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Take a class into use again.

    Example: [bold]meno class unarchive 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import UnarchiveClassRequest

    changed = client.call(client.classes.UnarchiveClass, UnarchiveClassRequest(class_id=class_id))
    _done(changed, "is in use again", json=json)


@classes.command("delete")
@connected
def delete_class(client: Client, class_id: ClassId, *, yes: Yes = False, json: Json = False) -> None:
    """Delete a class; it can be restored for a while.

    Example: [bold]meno class delete 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import DeleteClassRequest

    if not yes:
        asking.confirm(f"Delete {_class(client, class_id).title}, for all its members?", yes=yes)
    deleted = client.call(client.classes.DeleteClass, DeleteClassRequest(class_id=class_id))
    _done(deleted, "is deleted", json=json, after=f"meno class undelete {class_id}")


@classes.command("undelete")
@connected
def undelete_class(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Restore a class that was deleted, as it was.

    Example: [bold]meno class undelete 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import UndeleteClassRequest

    restored = client.call(client.classes.UndeleteClass, UndeleteClassRequest(class_id=class_id))
    _done(restored, "is restored", json=json)


@classes.command("rotate-code")
@connected
def rotate_code(client: Client, class_id: ClassId, *, json: Json = False) -> None:
    """Give a class another join code; the one before opens nothing any more.

    Example: [bold]meno class rotate-code 019ab0c4-…[/]
    """
    from meno.identity.v1.class_service_pb2 import RotateJoinCodeRequest

    changed = client.call(client.classes.RotateJoinCode, RotateJoinCodeRequest(class_id=class_id))
    code = changed.join_code or "another code, which its teachers see,"
    _done(changed, f"has {code} to join it now", json=json)


@classes.command("add")
@connected
def add(
    client: Client,
    class_id: ClassId,
    who: Who,
    *,
    role: Annotated[
        Role | None,
        typer.Option(help="what they may do; a newcomer is a student without it", case_sensitive=False),
    ] = None,
    json: Json = False,
) -> None:
    """Make somebody a member of a class, or give a member another role.

    Example: [bold]meno class add 019ab0c4-… ana --role TEACHER[/]
    """
    from meno.access.v1.access_pb2 import ClassRole
    from meno.identity.v1.class_service_pb2 import AddMembershipRequest, SetMembershipRoleRequest

    user_id = client.user_id(who)
    before = _member(client, class_id, user_id)
    wanted = role.number if role else ClassRole.CLASS_ROLE_UNSPECIFIED
    if before is None:
        request = AddMembershipRequest(class_id=class_id, user_id=user_id, role=wanted)
        membership = client.call(client.classes.AddMembership, request)
    elif role and before.role != wanted:
        change = SetMembershipRoleRequest(class_id=class_id, user_id=user_id, role=wanted)
        membership = client.call(client.classes.SetMembershipRole, change)
    else:
        membership = before
    if membership != before and user_id == client.signed_in.user_id:
        client.renew()
    if json:
        screen.as_json(wire.as_dict(membership))
        return
    name, title = membership.display_name, _class(client, class_id).title
    held = _role(membership)
    if before is None:
        screen.say("{} is in {} as {}, once their token is refreshed.", name, title, held)
    elif membership.role != before.role:
        screen.say("{} is {} in {} now.", name, held, title)
    else:
        screen.say("{} is {} in {} already.", name, held, title)
    screen.after(f"meno class members {class_id}")


@classes.command("join")
@connected
def join(
    client: Client,
    code: Annotated[str, typer.Argument(metavar="CODE", help="the join code", show_default=False)],
    *,
    json: Json = False,
) -> None:
    """Join a class yourself, with its code.

    Example: [bold]meno class join 8UK9-Z7RB[/]
    """
    from meno.identity.v1.class_service_pb2 import JoinClassRequest, MembershipStatus

    request = JoinClassRequest(user_id=client.signed_in.user_id, join_code=code)
    membership = client.call(client.classes.JoinClass, request)
    client.renew()
    if json:
        screen.as_json(wire.as_dict(membership))
    elif membership.status == MembershipStatus.MEMBERSHIP_STATUS_PENDING:
        screen.say("You wait for a teacher of the class to let you in.")
    else:
        title = _class(client, membership.class_id).title
        screen.say("You are {} in {}.", _role(membership), title)
        screen.after(f"meno class show {membership.class_id}")


@classes.command("remove")
@connected
def remove(client: Client, class_id: ClassId, who: Who, *, yes: Yes = False) -> None:
    """Remove a member; the class's join code is unknown to them from then on.

    Example: [bold]meno class remove 019ab0c4-… ana[/]
    """
    from meno.identity.v1.class_service_pb2 import RemoveMembershipRequest

    user_id, title = client.user_id(who), _class(client, class_id).title
    member = _member(client, class_id, user_id)
    name = member.display_name if member else who
    asking.confirm(f"Remove {name} from {title}?", yes=yes)
    request = RemoveMembershipRequest(class_id=class_id, user_id=user_id)
    client.call(client.classes.RemoveMembership, request)
    screen.say("{} is not in {} any more.", name, title)
    role = f" --role {_role(member)}" if member else ""
    screen.after(f"meno class add {class_id} {user_id}{role}", "takes it back")


def _class(client: Client, class_id: str) -> "Class":
    from meno.identity.v1.class_service_pb2 import GetClassRequest

    return client.call(client.classes.GetClass, GetClassRequest(class_id=class_id))


def _member(client: Client, class_id: str, user_id: str) -> "Membership | None":
    """Somebody who is in a class, or None."""
    from meno.identity.v1.class_service_pb2 import ListMembershipsRequest

    request = ListMembershipsRequest(class_id=class_id)
    members = client.pages(client.classes.ListMemberships, request, lambda page: page.memberships, 0)
    return next((one for one in members if one.user_id == user_id), None)


def _of(client: Client, user_id: str, limit: int) -> "list[Class]":
    from meno.identity.v1.class_service_pb2 import ListClassesRequest

    request = ListClassesRequest(user_id=user_id)
    return [*client.pages(client.classes.ListClasses, request, lambda page: page.classes, limit)]


def _all(client: Client, limit: int, *, deleted: bool) -> "list[Class]":
    from meno.identity.v1.class_service_pb2 import ListAllClassesRequest

    request = ListAllClassesRequest(show_deleted=deleted)
    try:
        return [*client.pages(client.classes.ListAllClasses, request, lambda page: page.classes, limit)]
    except CliError as problem:
        # All classes are shown to administrators alone.
        if getattr(problem, "reason", "") != "ACCESS_DENIED" or deleted:
            raise
        return _of(client, "me", limit)


def _done(changed: "Class", what: str, *, json: bool, after: str = "") -> None:
    if json:
        screen.as_json(wire.as_dict(changed))
        return
    screen.say("{} {}.", changed.title, what)
    if after:
        screen.after(after, "takes it back")


def _role(member: "Membership") -> str:
    from meno.access.v1.access_pb2 import ClassRole

    return ClassRole.Name(member.role).removeprefix("CLASS_ROLE_")


def _state(found: "Class") -> str:
    from meno.access.v1.access_pb2 import ClassState

    return ClassState.Name(found.state).removeprefix("CLASS_STATE_").replace("UNSPECIFIED", "")


def _joining(found: "Class") -> str:
    from meno.identity.v1.class_service_pb2 import JoinPolicy

    return JoinPolicy.Name(found.join_policy).removeprefix("JOIN_POLICY_").replace("UNSPECIFIED", "")
