"""The pages in a real browser: what people see, and can reach, in every state."""
