"""`python -m session_service serve | migrate`."""

from chassis.cli import service_cli
from session_service.app import create_app
from session_service.settings import Settings

cli = service_cli("session_service", Settings, create_app)

if __name__ == "__main__":
    cli()
