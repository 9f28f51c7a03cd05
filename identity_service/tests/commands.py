"""Runs commands of the service."""

import asyncio
from pathlib import Path

from typer.testing import CliRunner, Result

from identity_service.__main__ import cli


async def run_command(url: str, *arguments: str, secret: str = "s" * 32, stdin: str = "") -> Result:
    """Runs a command in a thread, because it starts its own event loop."""
    settings = {"MENO_DATABASE_URL": url, "MENO_SECRET": secret, "MENO_TLS_DIRECTORY": str(Path())}
    return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=settings, input=stdin)
