"""Stages of a `tf.data` graph, made of raw operations where `tf.data.Dataset` lacks an argument.

Must not know: what flows through them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def mapped(dataset: Any, function: Callable[..., Any], *, num_parallel_calls: int = 0) -> Any:
    """Return what a function makes of each element, in the order of the elements.

    Args:
        dataset: of tensors.
        function: takes a tensor and returns a structure of tensors, without Python's control flow.
        num_parallel_calls: elements that are made at the same time, and ahead; 0: each one by the
            thread that asks for it.
    """
    traced = _traced(function, dataset)
    structure = tf.nest.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), traced.structured_outputs
    )
    if not num_parallel_calls:
        return _stage(tf.raw_ops.MapDataset, dataset, structure, traced)
    return _stage(
        tf.raw_ops.ParallelMapDatasetV2,
        dataset,
        structure,
        traced,
        num_parallel_calls=tf.constant(num_parallel_calls, tf.int64),
        deterministic="true",
    )


def flat_mapped(dataset: Any, function: Callable[..., Any]) -> Any:
    """Return the elements of the datasets that a function makes of each element, one by one.

    Args:
        dataset: of tensors, or of tuples of them.
        function: takes an element's tensors and returns a dataset of tensors, without Python's
            control flow.
    """
    specs = []

    def variant_of(*element: Any) -> Any:
        made = function(*element)
        specs.append(made.element_spec)
        return tf.data.experimental.to_variant(made)

    traced = _traced(variant_of, dataset)
    return _stage(tf.raw_ops.FlatMapDataset, dataset, specs[0], traced)


def _traced(function: Callable[..., Any], dataset: Any) -> Any:
    """Return the graph of a function of an element, one that costs little to begin with.

    Every iterator prepares the functions of its graph anew. `tf.data.Dataset.map` marks them for
    several devices, and then Grappler rewrites them each time: 4 ms a function. The attribute says
    that integers may stay on any device; with it, tf.data takes one device and leaves them as they
    are (`FunctionMetadata::Create` in TensorFlow's `core/data/captured_function.cc`).
    """
    spec = dataset.element_spec
    return tf.function(
        function,
        input_signature=spec if isinstance(spec, tuple) else (spec,),
        autograph=False,
        experimental_attributes={"experimental_ints_on_device": True},
    ).get_concrete_function()


def _stage(
    operation: Callable[..., Any], dataset: Any, structure: Any, traced: Any = None, **inputs: Any
) -> Any:
    """Return what an operation makes of a dataset: elements of a structure of `tf.TensorSpec`."""
    if traced is not None:
        inputs |= {"f": traced, "other_arguments": traced.captured_inputs}
    specs = tf.nest.flatten(structure)
    variant = operation(
        input_dataset=tf.data.experimental.to_variant(dataset),
        output_types=[spec.dtype for spec in specs],
        output_shapes=[spec.shape for spec in specs],
        **inputs,
    )
    result = tf.data.experimental.from_variant(variant, structure)
    result.made_of = dataset, traced  # TensorFlow forgets the functions of a dataset that is gone
    return result
