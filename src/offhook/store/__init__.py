"""What is kept of a call: records, recordings, audit, keys."""
