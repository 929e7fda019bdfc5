"""The world in virtual time: a loop, a seeded network, callers, checkers and faults. Shipped, so that agents can be tested."""
