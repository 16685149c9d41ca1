"""Files of sentences, ranking lists and scored pairs, in the shapes that other programs write."""
