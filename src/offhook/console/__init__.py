"""What an operator looks at and drives: HTTP API, live events, pages."""
