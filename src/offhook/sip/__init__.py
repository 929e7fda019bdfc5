"""SIP and SDP, pure: messages → transactions → dialogs → calls. No clock, socket or randomness of its own.

bytes ─► stream ─► message ─► transaction (tables) ─► dialog, session ─► useragent ─► outcomes
"""
