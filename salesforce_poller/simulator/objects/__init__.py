"""The objects of the simulated org, one file each, named as in the object reference; `catalogue.py` gathers them."""
