"""The leash of the embedded database: a server started through it ends when its owner does, however the owner ends.

Run as a program, never imported: `python leash.py SERVER ARGUMENT...`. It becomes the server, and leaves a small
watcher behind that reads from a pipe on standard input. The owner holds the only writing end, so the pipe ends with
the owner, even where that was killed with -9 and could do nothing any more. A death signal of the kernel would not
do: it fires when the *thread* that forked ends.

Invariant: no server outlives its owner. Held by `tests/domain/store/test_embedded.py`.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 5.0  # a server that is told to end during its own start may never do so


def _watch(server: int) -> None:
    # Whatever else was inherited is the server's to hold, above all the lock on the files.
    os.closerange(1, os.sysconf("SC_OPEN_MAX"))
    while os.read(0, 4096):
        pass
    for sign in (signal.SIGTERM, signal.SIGKILL):
        # Once the server has ended, the watcher has another parent, and the number may be somebody else's.
        if os.getppid() != server:
            return
        os.kill(server, sign)
        deadline = time.monotonic() + GRACE_SECONDS
        while os.getppid() == server and time.monotonic() < deadline:
            time.sleep(0.02)


def _main(command: list[str]) -> None:
    server = os.getpid()
    if os.fork() == 0:
        try:
            _watch(server)
        finally:
            os._exit(0)
    os.umask(0o077)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execv(command[0], command)  # noqa: S606  # the command is the owner's own, and no shell reads it


if __name__ == "__main__":
    _main(sys.argv[1:])
