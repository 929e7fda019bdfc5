"""Managed services: the wire of each vendor, pure. Nothing here opens a socket, reads a clock or draws randomness."""
