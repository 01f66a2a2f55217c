"""SQL: one module per group of tables; reads and writes, decides nothing."""
