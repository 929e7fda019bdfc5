"""The host: transports, admission, drain. The only room with sockets and the only loop."""
