"""In place of stages 1 and 2: ranking lists that exist already."""
