"""The tables of the conformance statement, made from the code so that they cannot drift from it.

`make docs` writes them between the markers in docs/conformance.md; the prose around them is written
by people. A test holds the document against what would be written.
"""
