"""Days in seconds: the real policy and the real SQL under a clock that the test sets."""
