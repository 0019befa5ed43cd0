"""The conformance matrix: what Keras feeds a model, by version, backend, input and workers."""
