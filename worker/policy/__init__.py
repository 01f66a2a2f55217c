"""What we decide: pure functions of values and of the time they are given."""
