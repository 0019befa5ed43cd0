"""Memory budgets: how they are enforced, and how refused allocations are recognised."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from keras_loader_bench.bench.sensors.memory_metrics import data_bytes
from keras_loader_bench.loaders.system.text import message_of

RLIMIT_DATA = "RLIMIT_DATA"
"""The kernel refuses an allocation: only where all memory is that of one process, only on Linux."""

WATCHDOG = "watchdog"
"""The parent ends the tree; see `bench.sensors.watchdog`."""

# How frameworks word it that an allocation failed. Python has a type for it.
_REFUSALS = re.compile(
    r"resource_?exhausted|can't allocate memory|cannot allocate memory|bad_alloc|out of memory",
    re.IGNORECASE,
)

# Under a limit it is the stack that is refused; otherwise a user may just have too many threads.
_NO_STACK = re.compile(r"can't start new thread|pthread_create\(\) failed")


def enforcement(*, processes: bool) -> str:
    """Return how a budget is kept.

    Args:
        processes: whether the loader works with processes of its own: each would have a limit.
    """
    return RLIMIT_DATA if sys.platform == "linux" and not processes else WATCHDOG


def limit_allocations(budget_bytes: int | None) -> dict[str, int] | None:
    """Let this process allocate so much more private memory, and refuse it everything beyond.

    `None` takes the limit away again.

    RLIMIT_DATA counts private, writable address space, also what was never touched, such as most of
    the stack of a thread; read-only maps of files are left alone.
    https://man7.org/linux/man-pages/man2/getrlimit.2.html

    Returns:
        `data_bytes`, what was in use, and `limit_bytes`.
    """
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if budget_bytes is None:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        return None
    in_use = data_bytes()
    limit = in_use + budget_bytes
    if hard != resource.RLIM_INFINITY and limit > hard:
        raise ValueError(
            f"A budget of {budget_bytes} bytes over {in_use} exceeds the hard limit of this user, "
            f"{hard} (`ulimit -H -d`); ask for a smaller --memory-budget."
        )
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return {"data_bytes": in_use, "limit_bytes": limit}


def is_refused_allocation(error: BaseException) -> bool:
    """Whether an exception says that memory was refused, itself or through its causes."""
    return any(
        isinstance(each, MemoryError)
        or "resourceexhausted" in type(each).__name__.lower()
        or (
            isinstance(each, OSError | RuntimeError)
            and says_refused(message_of(each), _is_limited())
        )
        for each in _chain(error)
    )


def says_refused(text: str, limited: bool) -> bool:
    """Whether a message, or what a process printed before it died, says that memory was refused.

    Args:
        text: the message, or the log.
        limited: whether `limit_allocations` was in force.
    """
    patterns = (_REFUSALS, _NO_STACK) if limited else (_REFUSALS,)
    return any(pattern.search(text) for pattern in patterns)


def _is_limited() -> bool:
    if sys.platform == "win32":
        return False
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    return soft != hard


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
