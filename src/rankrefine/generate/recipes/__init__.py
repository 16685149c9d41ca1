"""Recipes: what is asked of the language model for one seed sentence. One module per value of `generate.recipe`."""
