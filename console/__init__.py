"""The console: pages and a REST API over the history, for people who look at results."""
