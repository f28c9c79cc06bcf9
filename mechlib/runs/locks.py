"""One process at a time. The operating system takes a lock back from whoever dies, so that none is ever stale."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

# What systems answer that have no locks, such as some that are mounted over a network.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold the lock at ``path``; ``waiting`` is called once if somebody else holds it.

    It keeps out the processes of this host, containers included. Over NFS it keeps out other hosts too, if
    the mount has a lock manager. Where there are no locks nobody is kept out: what is guarded must bear to be done twice.
    """
    lock = FileLock(path, fallback_to_soft=False)
    if not _taken(lock):
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def free(path: Path) -> bool:
    """Whether nobody holds the lock at ``path`` just now."""
    lock = FileLock(path, fallback_to_soft=False)
    taken = _taken(lock)
    lock.release()
    return taken


def _taken(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except NotImplementedError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
