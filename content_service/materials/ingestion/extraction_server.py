"""The process that starts a child for each file, so that a child has its modules and its splitter at once.

It is started with `python -m content_service.materials.ingestion.extraction_server`, and its standard input is a
Unix socket. A request is the length of a JSON text (4 bytes), that text, which is an ExtractionTask, and two file
descriptors: of another socket, and of the file to read. A child writes its result to that socket (`extract_worker`),
and the server adds a line with the exit status. If the service closes the socket, the child is killed. The server
ends with the service.

It never reads a file itself, so that nothing of one file remains for the next.
"""

import gc
import json
import os
import selectors
import signal
import socket

from content_service.materials.ingestion import chunking, extract_worker
from content_service.materials.ingestion.types import LENGTH_BYTES, ChunkLimits, ExtractionTask

_CRASHED = 1


class _Server:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._results: dict[int, socket.socket] = {}
        """The socket of each child, by process id."""
        # A byte arrives on this socket when a child has ended.
        self._ended, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._waker.fileno())
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._selector.register(self._ended, selectors.EVENT_READ)

    def run(self) -> None:
        """Serves requests until the service closes its end of the socket."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._ended:
                    self._reap()
                elif key.fileobj is not self._requests:
                    self._kill(key.data)
                elif not self._start_next():
                    for pid in self._results:
                        os.kill(pid, signal.SIGKILL)
                    return

    def _start_next(self) -> bool:
        """Starts a child for the next request; returns False if the service has gone."""
        header, descriptors, _, _ = socket.recv_fds(self._requests, LENGTH_BYTES, 2)
        if not header:
            return False
        body = self._requests.recv(int.from_bytes(header), socket.MSG_WAITALL)
        task = ExtractionTask(*json.loads(body))
        result, source = socket.socket(fileno=descriptors[0]), descriptors[1]
        chunking.load_splitters(ChunkLimits(task.tokens, task.overlap_tokens))
        pid = os.fork()
        if pid == 0:
            self._run_child(task, source, result)
        os.close(source)
        self._results[pid] = result
        # The service sends nothing, so that the socket can only become readable when it is closed.
        self._selector.register(result, selectors.EVENT_READ, pid)
        return True

    def _run_child(self, task: ExtractionTask, source: int, result: socket.socket) -> None:
        status = _CRASHED
        try:
            signal.set_wakeup_fd(-1)
            for other in (self._requests, self._ended, self._waker, *self._results.values()):
                other.close()
            with result.makefile("wb") as output:
                extract_worker.run(task, source, output)
            status = 0
        finally:
            os._exit(status)

    def _kill(self, pid: int) -> None:
        """Kills a child whose result nobody awaits."""
        # It may have ended in the meantime.
        if pid in self._results:
            self._selector.unregister(self._results[pid])
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Sends the exit status of each child that has ended."""
        self._ended.recv(4096)
        for pid, result in [*self._results.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._results[pid]
            if result in self._selector.get_map():
                self._selector.unregister(result)
            with result:
                _send_status(result, os.waitstatus_to_exitcode(status))


def _send_status(result: socket.socket, status: int) -> None:
    try:
        result.sendall(f"\n{status}".encode())
    except OSError:
        # The service has closed the socket.
        return


def main() -> None:
    """Loads the readers, and serves requests on standard input."""
    extract_worker.load_readers()
    # Children would otherwise copy the memory that a garbage collection touches.
    gc.freeze()
    _Server(socket.socket(fileno=0)).run()


if __name__ == "__main__":
    main()
