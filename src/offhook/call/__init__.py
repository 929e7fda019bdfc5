"""One call: its leg, its conversation and its tools in one task group, on the loop's clock."""
