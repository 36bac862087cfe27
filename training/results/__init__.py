"""What the experiments gave, beside what the report printed. Nothing is trained here."""
