"""Training shared by `base` and `refine`: trainer, development score, checkpoints, LoRA, distributed processes."""
