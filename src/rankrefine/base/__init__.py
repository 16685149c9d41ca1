"""Makes the encoder that is refined, where it is not there as it is wanted.

`pooling` gives an encoder its pooling and its prompt, `simcse` trains one, `run` does both and writes the folder.
"""
