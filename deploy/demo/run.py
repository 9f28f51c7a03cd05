"""Runs the demo step by step."""

from pathlib import Path

import grpc
from rich.console import Console
from rich.table import Table

from deploy.demo import isolation, study
from deploy.demo.isolation import AttackTarget
from deploy.demo.lesson import create_lesson
from deploy.demo.recorder import ExpectationFailed, Recorder
from deploy.demo.user import User
from deploy.stack.state import State
from meno.access.v1.access_pb2 import GlobalRole

SAMPLE = Path(__file__).parent / "sample"

_STUDENT = GlobalRole.GLOBAL_ROLE_STUDENT
_TEACHER = GlobalRole.GLOBAL_ROLE_TEACHER


async def run(state: State, console: Console) -> bool:
    """Runs one lesson through the gateway. Returns whether every result was as expected."""
    recorder = Recorder()
    async with grpc.aio.insecure_channel(f"localhost:{state.port}") as channel:
        try:
            await _run_steps(channel, recorder, state, console)
        except ExpectationFailed as failure:
            console.print(f"[bold red]Unexpected result:[/] {failure}")
            return False
        except grpc.aio.AioRpcError as error:
            console.print(f"[bold red]A call failed:[/] {error.code().name} {error.details()}")
            return False
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in recorder.summary().items():
        table.add_row(f"  {name}", f"[bold]{value}[/]")
    console.rule("[bold]All results are as expected", align="left")
    console.print(table)
    return True


async def _run_steps(channel: grpc.aio.Channel, recorder: Recorder, state: State, console: Console) -> None:
    course = sorted((SAMPLE / "course").iterdir())
    questions = study.load_questions(SAMPLE / "questions.toml")

    console.rule("1  A teacher creates a lesson and uploads the material", align="left")
    teacher = await User.sign_up(channel, recorder, "Mira Teacher", _TEACHER)
    lesson = await create_lesson(teacher, course, console)

    console.rule("2  A student joins the class and studies", align="left")
    student = await User.sign_up(channel, recorder, "Ravi Student", _STUDENT)
    await study.join(student, lesson, console)
    session = await study.study(student, lesson, console)

    console.rule("3  The tutor answers the questions of the student from the material", align="left")
    chat = await study.ask_all(student, lesson, questions, console)

    console.rule("4  Requests without the necessary rights are rejected", align="left")
    other = await User.sign_up(channel, recorder, "Noor Student", _STUDENT)
    await study.join(other, lesson, console)
    target = AttackTarget(
        owner=student,
        session=session,
        chat=chat,
        url=f"http://localhost:{state.port}",
        service_port=state.services["session_service"][0],
    )
    await isolation.check_isolation(target, other, console)
    await isolation.check_removed_member(teacher, other, lesson.of_class.class_id, console)
