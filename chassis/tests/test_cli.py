"""The command line of a service."""

import gc
from contextlib import AbstractAsyncContextManager

from chassis.cli import service_cli
from chassis.server import App
from chassis.settings import Settings


def create_app(settings: Settings) -> AbstractAsyncContextManager[App]:
    raise NotImplementedError


def test_garbage_collection_begins_when_the_command_line_is_complete() -> None:
    gc.disable()
    try:
        service_cli("session_service", Settings, create_app)
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
