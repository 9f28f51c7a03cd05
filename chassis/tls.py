"""Mutual TLS among the services: who calls is proven by a certificate of the house's own authority."""

from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True)
class Identity:
    """A directory with `ca.pem`, `cert.pem` and `key.pem`."""

    directory: Path

    def server_credentials(self) -> grpc.ServerCredentials:
        """Demands a certificate of every client; reads the files again when they change."""
        first = self._configuration()
        seen = self._changed_at()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal seen
            changed = self._changed_at()
            if changed == seen:
                return None
            seen = changed
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(
            first,
            renewed,  # type: ignore[arg-type]  # None means: as before
            require_client_authentication=True,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Shows this service's certificate and checks the other's."""
        return grpc.ssl_channel_credentials(self._read("ca"), self._read("key"), self._read("cert"))

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = (self._read("key"), self._read("cert"))
        return grpc.ssl_server_certificate_configuration([pair], self._read("ca"))

    def _changed_at(self) -> int:
        return max(path.stat().st_mtime_ns for path in self.directory.glob("*.pem"))

    def _read(self, name: str) -> bytes:
        return (self.directory / f"{name}.pem").read_bytes()
