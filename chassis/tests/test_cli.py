"""The command line of a service."""

import gc
from contextlib import AbstractAsyncContextManager

from chassis import cli
from chassis.server import App
from chassis.settings import Settings


def create_app(settings: Settings) -> AbstractAsyncContextManager[App]:
    raise NotImplementedError


def test_garbage_collection_is_normal_when_the_command_line_is_complete() -> None:
    gc.set_threshold(50_000, 20, 100)
    cli.service_cli("session_service", Settings, create_app)
    assert gc.get_threshold() == cli._GC_THRESHOLDS
    assert gc.get_freeze_count() > 0
