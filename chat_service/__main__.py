"""`python -m chat_service serve | migrate`."""

from chassis.cli import service_cli
from chat_service.app import create_app
from chat_service.settings import Settings

cli = service_cli("chat_service", Settings, create_app)

if __name__ == "__main__":
    cli()
