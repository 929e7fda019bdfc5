"""The conversation as a pure machine: whose turn it is, what is heard, what is said, what was really said."""
