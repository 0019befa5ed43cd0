"""Times the Python functions that a tf.data pipeline calls, where it is made with public names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import getattr_static
from typing import Any

from keras_loader_bench.bench.child.inputs.timed_input import Clocks


@contextmanager
def timed_functions(clocks: Clocks) -> Iterator[None]:
    """Put clocks around what TensorFlow is given to call, while a pipeline is made.

    These are the functions of `tf.py_function` and `tf.numpy_function` (`python`) and the
    generators of `tf.data.Dataset.from_generator` (`next`). Whoever imported these names before is
    not seen. What the functions return is not changed.

    Args:
        clocks: get the times, of all threads that call.
    """
    import tensorflow as tf

    dataset = tf.data.Dataset
    replaced = {
        (tf, "py_function"): _function(tf.py_function, clocks),
        (tf, "numpy_function"): _function(tf.numpy_function, clocks),
        (dataset, "from_generator"): staticmethod(_generator(dataset.from_generator, clocks)),
    }
    before = {place: getattr_static(*place) for place in replaced}
    try:
        for place, timed in replaced.items():
            setattr(*place, timed)
        yield
    finally:
        for place, original in before.items():
            setattr(*place, original)


def _function(original: Callable[..., Any], clocks: Clocks) -> Callable[..., Any]:
    def replaced(func: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        def timed(*values: Any) -> Any:
            with clocks.running("python"):
                return func(*values)

        return original(timed, *arguments, **named)

    return replaced


def _generator(original: Callable[..., Any], clocks: Clocks) -> Callable[..., Any]:
    def replaced(generator: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        def timed(*values: Any) -> Iterator[Any]:
            return clocks.each("next", iter(generator(*values)))

        return original(timed, *arguments, **named)

    return replaced
