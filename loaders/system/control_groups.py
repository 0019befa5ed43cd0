"""Finds the control groups that limit this process."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def own_groups(controller: str, *, cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> list[Path]:
    """Return the folders of this process's control groups and of all above them.

    Args:
        controller: such as `cpu` or `memory`. Of groups of version 1, only those that it has.
        cgroups: where control groups are mounted.
        own: says which ones this process is in.
    """
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = cgroups / controllers  # of version 2, which names no controllers: the mount itself
        group = top / path.lstrip("/")
        found += [each for each in (group, *group.parents) if each.is_relative_to(top)]
    return found
