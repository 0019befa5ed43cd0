"""Reads processes, machine and card from outside."""
