"""The whole play, act by act."""

from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table

from deploy.demo import intruding, learning, teaching
from deploy.demo.intruding import House
from deploy.demo.people import Person
from deploy.demo.record import Disappointed, Record
from deploy.stack.state import State
from meno.access.v1.access_pb2 import GlobalRole

SAMPLE = Path(__file__).parent / "sample"

_STUDENT = GlobalRole.GLOBAL_ROLE_STUDENT
_TEACHER = GlobalRole.GLOBAL_ROLE_TEACHER


async def play(state: State, console: Console) -> bool:
    """Plays one lesson through the gateway; returns whether everything came out as promised."""
    record = Record()
    async with grpc.aio.insecure_channel(f"localhost:{state.port}") as channel:
        try:
            await _acts(channel, record, state, console)
        except Disappointed as disappointment:
            console.print(f"[bold red]Not as promised:[/] {disappointment}")
            return False
        except grpc.aio.AioRpcError as error:
            console.print(f"[bold red]A call failed:[/] {error.code().name} {error.details()}")
            return False
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in record.summary().items():
        table.add_row(f"  {name}", f"[bold]{value}[/]")
    console.rule("[bold]Everything came out as promised", align="left")
    console.print(table)
    return True


async def _acts(channel: grpc.aio.Channel, record: Record, state: State, console: Console) -> None:
    course = sorted((SAMPLE / "course").iterdir())
    asked = learning.questions(SAMPLE / "questions.toml")

    console.rule("1  A teacher writes a lesson and uploads the material", align="left")
    teacher = await Person.sign_up(channel, record, "Mira Teacher", _TEACHER)
    lesson = await teaching.teach(teacher, course, console)

    console.rule("2  A student joins and studies", align="left")
    student = await Person.sign_up(channel, record, "Ravi Student", _STUDENT)
    await learning.join(student, lesson, console)
    session = await learning.study(student, lesson, console)

    console.rule("3  The student asks; the tutor answers from the material", align="left")
    chat = await learning.ask_all(student, lesson, asked, console)

    console.rule("4  Nobody gets in where they do not belong", align="left")
    other = await Person.sign_up(channel, record, "Noor Student", _STUDENT)
    await learning.join(other, lesson, console)
    house = House(
        owner=student,
        session=session,
        chat=chat,
        url=f"http://localhost:{state.port}",
        service_port=state.services["session_service"][0],
    )
    await intruding.intrude(house, other, console)
    await intruding.outstay(teacher, other, lesson.of_class.class_id, console)
