"""Import of existing ranking lists, in place of stages 1 and 2."""
