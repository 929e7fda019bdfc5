"""`offhook demo`: a whole telephone call on this machine. `main` runs it, `caller` is the other process."""
