"""Mutual TLS between services: each peer is identified by a certificate of the installation's own CA."""

from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True)
class TlsCredentials:
    """The TLS files of one service: a directory with `ca.pem`, `cert.pem` and `key.pem`."""

    directory: Path

    def server_credentials(self) -> grpc.ServerCredentials:
        """Returns credentials that require a client certificate and reload the files when they change."""
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
            renewed,  # type: ignore[arg-type]  # None means that nothing changed
            require_client_authentication=True,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Returns credentials that present this service's certificate and verify that of the server."""
        return grpc.ssl_channel_credentials(self._read("ca"), self._read("key"), self._read("cert"))

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = (self._read("key"), self._read("cert"))
        return grpc.ssl_server_certificate_configuration([pair], self._read("ca"))

    def _changed_at(self) -> int:
        return max(path.stat().st_mtime_ns for path in self.directory.glob("*.pem"))

    def _read(self, name: str) -> bytes:
        return (self.directory / f"{name}.pem").read_bytes()
