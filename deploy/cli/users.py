"""`meno user`: lists, creates and changes users."""

import enum
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import output, prompts
from deploy.cli.client import Client, with_client
from deploy.cli.conversions import enum_name, to_datetime, to_dict
from deploy.cli.options import DIRECTORY, Directory, Json, Limit, Who, Yes
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.state import is_running, load

if TYPE_CHECKING:
    from meno.identity.v1.resources_pb2 import User

users = typer.Typer(no_args_is_help=True)


class Role(enum.StrEnum):
    """A global role."""

    UNASSIGNED = "UNASSIGNED"
    STUDENT = "STUDENT"
    TEACHER = "TEACHER"
    ADMIN = "ADMIN"

    @property
    def proto_value(self) -> Any:
        """Returns the enum value of the contracts."""
        from meno.access.v1.access_pb2 import GlobalRole

        return GlobalRole.Value(f"GLOBAL_ROLE_{self.value}")


@users.command("create-admin")
def create_admin(
    login_name: Annotated[
        str, typer.Argument(metavar="NAME", help="login name; prompted for if missing", show_default=False)
    ] = "",
    email: Annotated[str, typer.Option(help="an e-mail address to sign in with")] = "",
    directory: Directory = DIRECTORY,
) -> None:
    """Create an administrator of the stack on this machine.

    This is the only way to create the first administrator. The password
    must have at least 15 characters. It is prompted for twice, or taken
    from MENO_PASSWORD.

    Example: [bold]meno user create-admin root[/]
    """
    from deploy.stack.stack import Stack

    layout = Layout(directory)
    state = load(layout) if is_running(layout) else None
    if state is None or not state.ready:
        raise CliError("Meno is not running: start it with `meno up`")
    login_name = login_name or prompts.text("Login name", "NAME")
    password = prompts.secret("Password, at least 15 characters", "MENO_PASSWORD", twice=True)
    environment = Stack.running(layout, state).environment("identity_service")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "identity_service", "create-admin"),
            *(f"--login-name={login_name}", f"--email={email}"),
        ],
        env={**environment, "MENO_ADMIN_PASSWORD": password},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CliError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
    output.print_text("{}", done.stdout.strip().capitalize() + ".")
    output.print_next_step(f"meno sign-in {login_name}")


@users.command("list")
@with_client
def list_users(
    client: Client,
    *,
    role: Annotated[Role | None, typer.Option(help="only users with this role", case_sensitive=False)] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="include deleted users")] = False,
    identifier: Annotated[
        str, typer.Option(help="only the user with this login name, e-mail address or phone number")
    ] = "",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List users in the order in which they were created.

    Example: [bold]meno user list --role TEACHER[/]
    Example: [bold]meno user list --identifier ana@school.example[/]
    """
    from meno.identity.v1.user_service_pb2 import ListUsersRequest

    request = ListUsersRequest(identifier=identifier, show_deleted=deleted)
    if role:
        request.role = role.proto_value
    found = [*client.list_all(client.users.ListUsers, request, lambda page: page.users, limit)]
    if json:
        output.print_json([to_dict(user) for user in found])
        return
    rows = output.table("id", "name", "sign-in identifier", "role", no_wrap=("id",))
    for user in found:
        identifier = user.login_name or user.email or user.phone
        role_name, state = enum_name(user, "role"), enum_name(user, "state").lower()
        role_text = role_name if state == "active" else f"{role_name}, {state}"
        rows.add_row(*map(output.cell, (user.user_id, user.display_name, identifier, role_text)))
    output.print_list(output.fit_columns(rows), len(found), limit, "user", "users")


@users.command("show")
@with_client
def show_user(client: Client, who: Who, *, json: Json = False) -> None:
    """Show a user.

    Example: [bold]meno user show ana@school.example[/]
    Example: [bold]meno user show me[/]
    """
    _print_user(client.get_user(who), json=json)


@with_client
def whoami(client: Client, *, json: Json = False) -> None:
    """Show the signed-in user, as `meno user show me` does.

    Example: [bold]meno whoami[/]
    """
    _print_user(client.get_user("me"), json=json)


@users.command("create")
@with_client
def create_user(
    client: Client,
    name: Annotated[str, typer.Argument(metavar="NAME", help="display name", show_default=False)],
    *,
    role: Annotated[Role, typer.Option(help="global role", case_sensitive=False)] = Role.STUDENT,
    email: Annotated[str, typer.Option(help="an e-mail address")] = "",
    phone: Annotated[str, typer.Option(help="a phone number, such as +919876543210")] = "",
    login_name: Annotated[str, typer.Option(help="a login name to sign in with")] = "",
    json: Json = False,
) -> None:
    """Create an account. The user signs in with a code that is sent to the address.

    Example: [bold]meno user create "Ana Rao" --email ana@school.example --role TEACHER[/]
    """
    from meno.identity.v1.user_service_pb2 import CreateUserRequest

    request = CreateUserRequest(
        display_name=name, role=role.proto_value, email=email, phone=phone, login_name=login_name
    )
    user = client.call(client.users.CreateUser, request)
    if json:
        output.print_json(to_dict(user))
        return
    output.print_text("Created the account of {}: {}", user.display_name, user.user_id)
    output.print_next_step(f"meno sign-in {email or phone} --code", "signs the user in")


@users.command("role")
@with_client
def set_role(
    client: Client,
    who: Who,
    role: Annotated[Role, typer.Argument(help="the new role", case_sensitive=False, show_default=False)],
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Change the global role of a user.

    A promotion takes effect with the next token of the user, which `meno`
    fetches by itself. A demotion takes effect within a second.

    Example: [bold]meno user role ana TEACHER[/]
    """
    from meno.identity.v1.user_service_pb2 import SetGlobalRoleRequest

    user_id = client.resolve_user_id(who)
    if role is not Role.ADMIN:
        _confirm_own_account(client, user_id, yes=yes)
    request = SetGlobalRoleRequest(user_id=user_id, role=role.proto_value)
    _print_change(
        client.call(client.users.SetGlobalRole, request), f"now has the role {role.value}", json=json
    )


@users.command("deactivate")
@with_client
def deactivate(
    client: Client,
    who: Who,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="also if active classes have no active teacher afterwards")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Deactivate a user, within a second. The data of the user are kept.

    Example: [bold]meno user deactivate ana[/]
    """
    from meno.identity.v1.user_service_pb2 import DeactivateUserRequest

    user_id = client.resolve_user_id(who)
    _confirm_own_account(client, user_id, yes=yes)
    request = DeactivateUserRequest(user_id=user_id, force=force)
    user = client.call(client.users.DeactivateUser, request)
    _print_change(user, "was deactivated", json=json, undo=f"meno user reactivate {who}")


@users.command("reactivate")
@with_client
def reactivate(client: Client, who: Who, *, json: Json = False) -> None:
    """Reactivate a user.

    Example: [bold]meno user reactivate ana[/]
    """
    from meno.identity.v1.user_service_pb2 import ReactivateUserRequest

    request = ReactivateUserRequest(user_id=client.resolve_user_id(who))
    _print_change(client.call(client.users.ReactivateUser, request), "was reactivated", json=json)


@users.command("delete")
@with_client
def delete_user(client: Client, who: Who, *, yes: Yes = False, json: Json = False) -> None:
    """Delete an account. It can be restored until the user is erased.

    Example: [bold]meno user delete ana[/]
    """
    from meno.identity.v1.user_service_pb2 import DeleteUserRequest

    user_id, own = client.resolve_user_id(who), client.signed_in.user_id
    if not yes:
        prompts.confirm(f"Delete the account of {client.get_user(who).display_name}?", yes=yes)
    user = client.call(client.users.DeleteUser, DeleteUserRequest(user_id=user_id))
    change = "was deleted"
    if user.HasField("purge_time"):
        change += f", and will be erased on {user.purge_time.ToDatetime():%Y-%m-%d}"
    if user_id == own:
        _print_change(user, f"{change}; only an administrator can restore it", json=json)
    else:
        _print_change(user, change, json=json, undo=f"meno user undelete {user_id}")


@users.command("undelete")
@with_client
def undelete_user(client: Client, who: Who, *, json: Json = False) -> None:
    """Restore a deleted account.

    Example: [bold]meno user undelete ana[/]
    """
    from meno.identity.v1.user_service_pb2 import UndeleteUserRequest

    request = UndeleteUserRequest(user_id=client.resolve_user_id(who))
    _print_change(client.call(client.users.UndeleteUser, request), "was restored", json=json)


def _confirm_own_account(client: Client, user_id: str, *, yes: bool) -> None:
    """Asks for confirmation if administrators change their own account, which they cannot undo."""
    if user_id == client.signed_in.user_id:
        prompts.confirm(
            "This is your own account; only another administrator can undo it. Continue?", yes=yes
        )


def _print_change(user: "User", change: str, *, json: bool, undo: str = "") -> None:
    if json:
        output.print_json(to_dict(user))
        return
    output.print_text("{} {}.", user.display_name, change)
    if undo:
        output.print_next_step(undo, "undoes it")


def _print_user(user: "User", *, json: bool) -> None:
    if json:
        output.print_json(to_dict(user))
        return
    output.print_fields(
        {
            "id": user.user_id,
            "name": user.display_name,
            "full name": user.full_name,
            "login name": user.login_name,
            "e-mail": f"{user.email}{' (verified)' if user.email_verified else ''}",
            "phone": f"{user.phone}{' (verified)' if user.phone_verified else ''}",
            "identity providers": ", ".join(user.identity_issuers),
            "role": f"{enum_name(user, 'role')}{' (guest)' if user.guest else ''}",
            "state": enum_name(user, "state"),
            "grade": " · ".join(str(one) for one in (user.grade, user.board, user.school_name) if one),
            "experience": f"{user.xp} (level {user.level})" if user.xp else "",
            "streak": output.pluralize(user.streak_days, "day", "days") if user.streak_days else "",
            "created": to_datetime(user.create_time),
            "last active": to_datetime(user.last_active_time),
            "last sign-in": to_datetime(user.last_sign_in_time),
            "deleted": to_datetime(user.delete_time),
            "will be erased": to_datetime(user.purge_time),
        }
    )
