"""What mail is: pure functions of bytes, without I/O, clock or logging."""
