"""Logging in: the token endpoint, its grants and its neighbours. `endpoints` is the way in."""
