"""What can be administered, and by which rules: pages and REST call the same functions.

Each takes the `Context` and `Who` asks, tells the audit trail, and raises `RefusedError` or
`MissingError` with a sentence for that person.
"""
