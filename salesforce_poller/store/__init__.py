"""The memory: how far we read, what we saw, what we owe. Start in store.py."""
