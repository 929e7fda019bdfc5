"""What may be done with a call and its traces: consent, retention, redaction, screening. Pure functions."""
