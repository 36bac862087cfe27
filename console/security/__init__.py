"""Who may do what: passwords, sessions, tokens, forgery, headers; what the audit trail is told."""
