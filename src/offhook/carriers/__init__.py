"""Managed telephony, one vendor a file: its wire and its leg."""
