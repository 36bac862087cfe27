"""Everything Hilum remembers: schema, sessions, the queue and the history."""
