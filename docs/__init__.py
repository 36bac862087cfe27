"""The documents, and what writes the tables in them."""
