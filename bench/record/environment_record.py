"""What a run was measured on, as it stands in `run.json`. Units are bytes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class BackendRecord:
    """A backend of a run."""

    version: str | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True)
class CardDescription:
    """The card that a run could use."""

    reason: str | None = None
    """Why there is none."""

    name: str | None = None
    memory_bytes: int | None = None
    driver: str | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class SuiteRecord:
    """Which version of this suite measured."""

    version: str | None = None
    commit: str | None = None
    """Of the checkout; `None`: it is none, or Git is not installed."""

    changed: bool = False
    """Whether files of the checkout differ from that commit."""


@dataclass(kw_only=True)
class Environment:
    """What a run was measured on. No host name, no user, no path."""

    os: str | None = None
    cpu: str | None = None
    cores: int | None = None
    """That the run may use."""

    machine_cores: int | None = None
    """Of the whole machine, whose CPU time is watched; `None`: as many as `cores`."""

    card: CardDescription | None = None
    memory_bytes: int | None = None
    python: str | None = None
    suite: SuiteRecord | None = None
    packages: dict[str, str] = field(default_factory=dict)
    """Name of a distribution -> its version."""

    cpu_quota_cores: float | None = None
    load_average_1min: float | None = None
    """Before the run."""

    swap_used_bytes: int | None = None
    """Before the run."""

    backends: dict[str, BackendRecord] = field(default_factory=dict)

    @property
    def cores_in_all(self) -> int | None:
        """Those of the whole machine, as far as they are known."""
        return self.machine_cores or self.cores
