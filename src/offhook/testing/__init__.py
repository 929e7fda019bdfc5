"""The world in virtual time: loop, seeded network, callers, checkers and faults. Shipped: agents are tested in it."""
