"""`meno class members`, `add`, `join` and `remove`: manages the members of a class."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import output, prompts
from deploy.cli.classes import classes, get_class
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name, format_day, to_dict
from deploy.cli.options import ClassId, Json, Limit, Who, Yes

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import Membership


class Role(enum.StrEnum):
    """A role in a class."""

    STUDENT = "STUDENT"
    TEACHER = "TEACHER"

    @property
    def proto_value(self) -> Any:
        """Returns the enum value of the contracts."""
        from meno.access.v1.access_pb2 import ClassRole

        return ClassRole.Value(f"CLASS_ROLE_{self.value}")


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
        row = (one.user_id, one.display_name, enum_name(one, "role"), since, "yes" if one.rostered else "")
        rows.add_row(*map(output.cell, row))
    if waiting and not found:
        output.print_text("No pending members.")
    else:
        output.print_list(output.fit_columns(rows), len(found), limit, "member", "members")


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
    name, title = membership.display_name, get_class(client, class_id).title
    role_name = enum_name(membership, "role")
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
        title = get_class(client, membership.class_id).title
        output.print_text("You joined {} as {}.", title, enum_name(membership, "role"))
        output.print_next_step(f"meno class show {membership.class_id}")


@classes.command("remove")
@with_client
def remove(client: Client, class_id: ClassId, who: Who, *, yes: Yes = False) -> None:
    """Remove a member. A removed member cannot rejoin with the join code.

    Example: [bold]meno class remove 019ab0c4-… ana[/]
    """
    from meno.identity.v1.class_service_pb2 import RemoveMembershipRequest

    user_id, title = client.resolve_user_id(who), get_class(client, class_id).title
    member = _find_member(client, class_id, user_id)
    name = member.display_name if member else who
    prompts.confirm(f"Remove {name} from {title}?", yes=yes)
    request = RemoveMembershipRequest(class_id=class_id, user_id=user_id)
    client.call(client.classes.RemoveMembership, request)
    output.print_text("{} was removed from {}.", name, title)
    role = f" --role {enum_name(member, 'role')}" if member else ""
    output.print_next_step(f"meno class add {class_id} {user_id}{role}", "undoes it")


def _find_member(client: Client, class_id: str, user_id: str) -> "Membership | None":
    """Returns the membership of a user in a class, or None."""
    from meno.identity.v1.class_service_pb2 import ListMembershipsRequest

    request = ListMembershipsRequest(class_id=class_id)
    members = client.list_all(client.classes.ListMemberships, request, lambda page: page.memberships, 0)
    return next((one for one in members if one.user_id == user_id), None)
