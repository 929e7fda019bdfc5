"""The world in virtual time: a loop, a seeded network, callers, checkers and faults. Shipped: agents are tested in it."""
