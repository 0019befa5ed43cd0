"""What is measured: cases, the table of options, the protocol. Starts and reads nothing."""
