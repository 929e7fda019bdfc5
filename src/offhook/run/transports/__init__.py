"""SIP's sockets, one idea a file, all on the running loop.

datagrams ──────────────────────────────► sockets.Transports ─► Signals (the line)      flood: who sends too much
connections ─┬─ framing: TCP, TLS ───────►
             └─ framing: websocket ──────►                                                tls: who is who
"""

from offhook.run.transports.flood import Rate
from offhook.run.transports.signals import Counts, Signals
from offhook.run.transports.sockets import Transports
from offhook.run.transports.tls import TlsRules

__all__ = ["Counts", "Rate", "Signals", "TlsRules", "Transports"]
