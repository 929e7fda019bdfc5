"""Agents to start from: echo, receptionist."""
