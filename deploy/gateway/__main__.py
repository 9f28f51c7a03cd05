"""`python -m deploy.gateway`: prints the configuration of Envoy for a set of endpoints."""

import json
from pathlib import Path
from typing import Annotated

import typer

from deploy.gateway.clusters import Endpoint
from deploy.gateway.envoy import Gateway, configuration
from deploy.gateway.pages import pages


def main(
    *,
    service: Annotated[
        list[str], typer.Option(help="name=host:port/ops_port; give it once for each worker of each service")
    ],
    tls_directory: Annotated[
        Path, typer.Option(help="directory of the gateway with ca.pem, cert.pem and key.pem")
    ],
    descriptors: Annotated[Path, typer.Option(help="the compiled contracts, meno/descriptors.binpb")],
    docs_directory: Annotated[
        Path | None, typer.Option(help="directory with openapi.json and the docs page; default: none")
    ] = None,
    port: Annotated[int, typer.Option(help="the public port")] = 8080,
    allowed_origin: Annotated[
        list[str] | None, typer.Option(help="a browser origin that may call the gateway")
    ] = None,
    trusted_proxies: Annotated[
        int, typer.Option(help="number of trusted proxies that set X-Forwarded-For")
    ] = 0,
    trace_collector: Annotated[
        str, typer.Option(help="host:port of an OpenTelemetry collector (OTLP over gRPC); default: none")
    ] = "",
    traced_percent: Annotated[
        float, typer.Option(help="percentage of calls that are reported to the collector")
    ] = 1.0,
) -> None:
    """Print the configuration of Envoy as JSON, for `envoy --config-path`."""
    services: dict[str, list[Endpoint]] = {}
    for text in service:
        name, _, address = text.partition("=")
        host, _, ports = address.rpartition(":")
        first, _, ops = ports.partition("/")
        if not (name and host and first.isdigit() and ops.isdigit()):
            raise typer.BadParameter(
                f"{text!r} must have the form name=host:port/ops_port", param_hint="--service"
            )
        services.setdefault(name, []).append(Endpoint(host, int(first), int(ops)))
    gateway = Gateway(
        descriptors=descriptors,
        tls_directory=tls_directory,
        services=services,
        port=port,
        allowed_origins=allowed_origin or [],
        trusted_proxies=trusted_proxies,
        trace_collector=trace_collector,
        traced_percent=traced_percent,
        pages=pages(docs_directory) if docs_directory else [],
    )
    typer.echo(json.dumps(configuration(gateway), indent=1))


if __name__ == "__main__":
    typer.run(main)
