"""Runs a program on a node of a Ray cluster as if it ran here; see `relay`.

usage: python -m keras_loader_bench.loaders.launchers.on_ray RANK PROGRAM [ARGUMENT ...]
       python -m keras_loader_bench.loaders.launchers.on_ray hold

Rank 0 runs on the node of `hold`, the others on all nodes in turn; where the cluster has GPUs, each
has one of its own. `hold` keeps a cluster until its standard input ends:
that of RAY_ADDRESS (`auto`: the one that runs on this machine), or one that it starts. It prints
the address of this node, and the variables that others need to find the cluster, as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.launchers.relay import Program, end_as, stand_in

_CARDS = "CUDA_VISIBLE_DEVICES"


_HERE = "KERAS_LOADER_BENCH_RAY_NODE"
"""The variable that names the node of rank 0."""

_PLACE_S = 60.0
"""How long Ray may take to find a node for a program."""


class Actor(Program):
    """A program on its node, which has the GPU that Ray gave it."""

    def is_there(self) -> None:
        """Answer, once Ray has found a node."""

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str
    ) -> Iterator[tuple[int, bytes]]:
        """Run the program; see `Program.run`."""
        given = {_CARDS: os.environ[_CARDS]} if os.environ.get(_CARDS) else {}
        yield from super().run(arguments, {**environment, **given}, folder)


def _connect() -> Any:
    """Return Ray, connected to the cluster of RAY_ADDRESS, or to a new one."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for a report to anybody
    import ray

    path = os.environ.get("PYTHONPATH")
    ray.init(
        # Ray would look for a cluster here for minutes where the last one was ended by force.
        address=os.environ.get("RAY_ADDRESS", "local"),
        log_to_driver=False,
        logging_level=logging.ERROR,
        include_dashboard=False,
        # Where this package is no installed one, its nodes find it as this process does.
        runtime_env={"env_vars": {"PYTHONPATH": path}} if path else None,
    )
    return ray


def hold() -> None:
    """Keep a cluster until standard input ends."""
    # The output is for the addresses alone.
    addresses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ray = _connect()
    variables = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    # https://docs.ray.io/en/latest/ray-security/token-auth.html: a cluster that this process has
    # started asks others for its token, and only this process knows that it does.
    variables[_HERE] = ray.get_runtime_context().get_node_id()
    variables |= {name: text for name, text in os.environ.items() if name.startswith("RAY_AUTH_")}
    found = {"node": ray.util.get_node_ip_address(), "variables": variables}
    print(json.dumps(found), file=addresses, flush=True)
    sys.stdin.buffer.read()
    ray.shutdown()


def run(rank: int, arguments: Sequence[str]) -> int:
    """Run a program; return its exit code, negative for a signal."""
    environment = dict(os.environ)
    ray = _connect()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # In turn, and not as Ray's SPREAD has it, which might give away the only GPU of rank 0's node.
    here = environment[_HERE]
    others = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
    nodes = [here, *(node for node in others if node != here)]
    strategy = NodeAffinitySchedulingStrategy(nodes[rank % len(nodes)], soft=rank > 0)
    on_cpu = environment.get(_CARDS) == "-1" or not ray.cluster_resources().get("GPU")
    # Its cores are the program's own business: two ranks may share one machine.
    actor = (
        ray.remote(Actor)
        .options(
            num_cpus=0,
            num_gpus=0 if on_cpu else 1,
            max_concurrency=8,
            scheduling_strategy=strategy,
        )
        .remote()
    )
    try:
        ray.get(actor.is_there.remote(), timeout=_PLACE_S)
    except ray.exceptions.GetTimeoutError:
        what = "node" if on_cpu else "GPU"
        raise SystemExit(
            f"Ray found no {what} for rank {rank} within {_PLACE_S:g} s; ask for fewer ranks, or "
            "let the cluster have more."
        ) from None
    found = actor.run.options(num_returns="streaming").remote(
        list(arguments), environment, str(Path.cwd())
    )
    return stand_in(
        map(ray.get, found),
        send=lambda data: ray.get(actor.send.remote(data)),
        send_signal=lambda number: actor.signal.remote(number),
    )


def main() -> None:
    """Do what the arguments say."""
    which, *arguments = sys.argv[1:]
    if which == "hold":
        hold()
        return
    sys.exit(end_as(run(int(which), arguments)))


if __name__ == "__main__":
    main()
