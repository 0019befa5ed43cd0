"""What batches hold: models that record them, and how records are compared."""
