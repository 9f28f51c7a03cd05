"""`python -m chat_service serve | migrate`."""

from chassis.cli import service_cli
from chat_service.app import compose
from chat_service.settings import Settings

cli = service_cli("chat_service", Settings, compose)

if __name__ == "__main__":
    cli()
