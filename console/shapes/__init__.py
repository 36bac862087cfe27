"""What the REST API says and takes, as types: the API and `console.client` share them.

They depend on pydantic alone, so that a program that only calls needs nothing of a server.
"""
