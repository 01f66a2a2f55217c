"""Words for people: catalogues in French and English."""
