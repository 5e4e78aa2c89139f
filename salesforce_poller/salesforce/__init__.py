"""The door to the org: requests, answers and the one file that talks over the network (client.py)."""
