"""Storage commitment, Push Model (PS3.4 annex J), both ways: `asking` destinations to commit
themselves to what they were sent, and `answering` peers that ask us.

What the two exchange stands in `messages`, what is remembered in `db.commitments`.
"""
