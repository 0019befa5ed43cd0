"""What the operating system says of cores and processes."""
