"""`meno user`: people."""

import enum
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import asking, screen, wire
from deploy.cli.client import Client, connected
from deploy.cli.options import DIRECTORY, Directory, Json, Limit, Who, Yes
from deploy.stack.errors import CliError
from deploy.stack.layout import ROOT, Layout
from deploy.stack.state import is_running, load

if TYPE_CHECKING:
    from meno.identity.v1.user_service_pb2 import User

people = typer.Typer(no_args_is_help=True)


class Role(enum.StrEnum):
    """A role in the whole installation."""

    UNASSIGNED = "UNASSIGNED"
    STUDENT = "STUDENT"
    TEACHER = "TEACHER"
    ADMIN = "ADMIN"

    @property
    def number(self) -> Any:
        """As the contracts have it."""
        from meno.access.v1.access_pb2 import GlobalRole

        return GlobalRole.Value(f"GLOBAL_ROLE_{self.value}")


@people.command("create-admin")
def create_admin(
    login_name: Annotated[
        str, typer.Argument(metavar="NAME", help="asked for when it is not given", show_default=False)
    ] = "",
    email: Annotated[str, typer.Option(help="an e-mail address, to sign in with as well")] = "",
    directory: Directory = DIRECTORY,
) -> None:
    """Make an administrator of the stack on this machine: the only way to the first one.

    The password is asked for twice, or taken from MENO_PASSWORD; it has at
    least 15 characters.

    Example: [bold]meno user create-admin root[/]
    """
    from deploy.stack.stack import Stack

    layout = Layout(directory)
    state = load(layout) if is_running(layout) else None
    if state is None or not state.ready:
        raise CliError("Meno is not running: `meno up` starts it")
    login_name = login_name or asking.text("Login name", "NAME")
    password = asking.secret("Password, at least 15 characters", "MENO_PASSWORD", twice=True)
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
    screen.say("{}", done.stdout.strip().capitalize() + ".")
    screen.after(f"meno sign-in {login_name}")


@people.command("list")
@connected
def list_users(
    client: Client,
    *,
    role: Annotated[Role | None, typer.Option(help="only people of this role", case_sensitive=False)] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="those who were deleted, too")] = False,
    identifier: Annotated[
        str, typer.Option(help="only who has this login name, e-mail address or phone number")
    ] = "",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List people in the order in which they came.

    Example: [bold]meno user list --role TEACHER[/]
    Example: [bold]meno user list --identifier ana@school.example[/]
    """
    from meno.identity.v1.user_service_pb2 import ListUsersRequest

    request = ListUsersRequest(identifier=identifier, show_deleted=deleted)
    if role:
        request.role = role.number
    users = [*client.pages(client.users.ListUsers, request, lambda page: page.users, limit)]
    if json:
        screen.as_json([wire.as_dict(user) for user in users])
        return
    shown = screen.table("id", "name", "signs in with", "role", whole=("id",))
    for user in users:
        signs_in_with = user.login_name or user.email or user.phone
        state = _state(user).lower()
        role_shown = _role(user) if state == "active" else f"{_role(user)}, {state}"
        shown.add_row(*map(screen.cell, (user.user_id, user.display_name, signs_in_with, role_shown)))
    screen.listed(screen.fitting(shown), len(users), limit, "person", "people")


@people.command("show")
@connected
def show_user(client: Client, who: Who, *, json: Json = False) -> None:
    """Show a person.

    Example: [bold]meno user show ana@school.example[/]
    Example: [bold]meno user show me[/]
    """
    _shown(client.user(who), json=json)


@connected
def whoami(client: Client, *, json: Json = False) -> None:
    """Show who is signed in, as `meno user show me` does.

    Example: [bold]meno whoami[/]
    """
    _shown(client.user("me"), json=json)


@people.command("create")
@connected
def create_user(
    client: Client,
    name: Annotated[str, typer.Argument(metavar="NAME", help="what others see", show_default=False)],
    *,
    role: Annotated[Role, typer.Option(help="what they are", case_sensitive=False)] = Role.STUDENT,
    email: Annotated[str, typer.Option(help="an e-mail address")] = "",
    phone: Annotated[str, typer.Option(help="a phone number, such as +919876543210")] = "",
    login_name: Annotated[str, typer.Option(help="a name to sign in with as well")] = "",
    json: Json = False,
) -> None:
    """Make an account for somebody; they come in with a code that is sent to their address.

    Example: [bold]meno user create "Ana Rao" --email ana@school.example --role TEACHER[/]
    """
    from meno.identity.v1.user_service_pb2 import CreateUserRequest

    request = CreateUserRequest(
        display_name=name, role=role.number, email=email, phone=phone, login_name=login_name
    )
    user = client.call(client.users.CreateUser, request)
    if json:
        screen.as_json(wire.as_dict(user))
        return
    screen.say("{} has an account: {}", user.display_name, user.user_id)
    screen.after(f"meno sign-in {email or phone} --code", "is how they come in")


@people.command("role")
@connected
def set_role(
    client: Client,
    who: Who,
    role: Annotated[Role, typer.Argument(help="the new role", case_sensitive=False, show_default=False)],
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give a person another role.

    A promotion counts from their next token on, which `meno` fetches by
    itself; what a demotion takes away is gone within a second.

    Example: [bold]meno user role ana TEACHER[/]
    """
    from meno.identity.v1.user_service_pb2 import SetGlobalRoleRequest

    user_id = client.user_id(who)
    if role is not Role.ADMIN:
        _ask_of_oneself(client, user_id, yes=yes)
    request = SetGlobalRoleRequest(user_id=user_id, role=role.number)
    _done(client.call(client.users.SetGlobalRole, request), f"is {role.value} now", json=json)


@people.command("deactivate")
@connected
def deactivate(client: Client, who: Who, *, yes: Yes = False, json: Json = False) -> None:
    """Shut a person out, everywhere within a second; what they have stays.

    Example: [bold]meno user deactivate ana[/]
    """
    from meno.identity.v1.user_service_pb2 import DeactivateUserRequest

    user_id = client.user_id(who)
    _ask_of_oneself(client, user_id, yes=yes)
    user = client.call(client.users.DeactivateUser, DeactivateUserRequest(user_id=user_id))
    _done(user, "is shut out", json=json, after=f"meno user reactivate {who}")


@people.command("reactivate")
@connected
def reactivate(client: Client, who: Who, *, json: Json = False) -> None:
    """Let a person in again.

    Example: [bold]meno user reactivate ana[/]
    """
    from meno.identity.v1.user_service_pb2 import ReactivateUserRequest

    request = ReactivateUserRequest(user_id=client.user_id(who))
    _done(client.call(client.users.ReactivateUser, request), "is let in again", json=json)


@people.command("delete")
@connected
def delete_user(client: Client, who: Who, *, yes: Yes = False, json: Json = False) -> None:
    """Delete an account; it can be restored for a while, and then the person is erased.

    Example: [bold]meno user delete ana[/]
    """
    from meno.identity.v1.user_service_pb2 import DeleteUserRequest

    user_id, own = client.user_id(who), client.signed_in.user_id
    if not yes:
        asking.confirm(f"Delete the account of {client.user(who).display_name}?", yes=yes)
    user = client.call(client.users.DeleteUser, DeleteUserRequest(user_id=user_id))
    until = f"{user.purge_time.ToDatetime():%Y-%m-%d}" if user.HasField("purge_time") else "its purge"
    what = f"is deleted, and erased on {until}"
    if user_id == own:
        _done(user, f"{what}; only an administrator can restore it", json=json)
    else:
        _done(user, what, json=json, after=f"meno user undelete {user_id}")


@people.command("undelete")
@connected
def undelete_user(client: Client, who: Who, *, json: Json = False) -> None:
    """Restore an account that was deleted.

    Example: [bold]meno user undelete ana[/]
    """
    from meno.identity.v1.user_service_pb2 import UndeleteUserRequest

    request = UndeleteUserRequest(user_id=client.user_id(who))
    _done(client.call(client.users.UndeleteUser, request), "is restored", json=json)


def _ask_of_oneself(client: Client, user_id: str, *, yes: bool) -> None:
    """Who shuts themselves out cannot take it back."""
    if user_id == client.signed_in.user_id:
        asking.confirm("That is you: only another administrator takes it back. Go on?", yes=yes)


def _done(user: "User", what: str, *, json: bool, after: str = "") -> None:
    if json:
        screen.as_json(wire.as_dict(user))
        return
    screen.say("{} {}.", user.display_name, what)
    if after:
        screen.after(after, "takes it back")


def _shown(user: "User", *, json: bool) -> None:
    if json:
        screen.as_json(wire.as_dict(user))
        return
    screen.sheet(
        {
            "id": user.user_id,
            "name": user.display_name,
            "full name": user.full_name,
            "login name": user.login_name,
            "e-mail": f"{user.email}{' (proven)' if user.email_verified else ''}",
            "phone": f"{user.phone}{' (proven)' if user.phone_verified else ''}",
            "signs in by": ", ".join(user.identity_issuers),
            "role": f"{_role(user)}{' (guest)' if user.guest else ''}",
            "state": _state(user),
            "grade": " · ".join(str(one) for one in (user.grade, user.board, user.school_name) if one),
            "experience": f"{user.xp} (level {user.level})" if user.xp else "",
            "streak": screen.counted(user.streak_days, "day", "days") if user.streak_days else "",
            "came": wire.time(user.create_time),
            "last studied": wire.time(user.last_active_time),
            "last signed in": wire.time(user.last_sign_in_time),
            "deleted": wire.time(user.delete_time),
            "is erased": wire.time(user.purge_time),
        }
    )


def _role(user: "User") -> str:
    from meno.access.v1.access_pb2 import GlobalRole

    return GlobalRole.Name(user.role).removeprefix("GLOBAL_ROLE_")


def _state(user: "User") -> str:
    from meno.identity.v1.user_service_pb2 import UserState

    return UserState.Name(user.state).removeprefix("USER_STATE_").replace("UNSPECIFIED", "")
