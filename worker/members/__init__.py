"""Member files: bytes of a CSV or a spreadsheet, read into rows of text."""
