"""Ranking lists that replace development data. Standard library only, because the configuration is checked with it."""

from rankrefine.errors import UserError

EVERY = 10
SHORTEST = 3  # sentences; in a list of two, neither has others that could be in the wrong order


def held_out(sizes: list[int]) -> list[int]:
    """Return the indices of the held-out lists: every tenth of those whose order can be scored.

    Args:
        sizes: number of sentences of each list.

    Raises:
        UserError: there are fewer than ten of them.
    """
    ordered = [index for index, size in enumerate(sizes) if size >= SHORTEST]
    if len(ordered) < EVERY:
        raise UserError(
            f"refine.development is null, so every {EVERY}th ranking list of {SHORTEST} or more sentences would be "
            f"held out, but there are only {len(ordered)} such lists; set refine.development, or provide more or "
            "longer lists (seeds.count, generate.rounds)."
        )
    return ordered[EVERY - 1 :: EVERY]
