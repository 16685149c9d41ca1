"""Speed on a GPU, with made-up models and without downloads: python benchmarks/gpu_speed.py

Runs `generation.py` with the shapes of SmolLM2-135M and Llama-3-8B, and `refinement.py` with that of BERT-base: one
list a step as in the released code, then eight, then eight in bfloat16.
"""

from __future__ import annotations

import gc
import sys

import torch

FREE = {"smollm2-135m": 4e9, "llama-3-8b": 40e9}  # bytes of GPU memory, for our model and the library's
TRAININGS = ([], ["--batch", "8"], ["--batch", "8", "--bf16"])


def main() -> None:
    """Measure everything that fits into the GPU's memory."""
    if not torch.cuda.is_available():
        sys.exit("torch finds no CUDA GPU, so that nothing was measured.")
    import generation
    import refinement

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    for shape, needed in FREE.items():
        gc.collect()
        torch.cuda.empty_cache()
        if (free := torch.cuda.mem_get_info()[0]) < needed:
            print(f"\n{shape}: left out, it needs {needed / 1e9:.0f} GB of GPU memory; {free / 1e9:.0f} GB are free")
            continue
        print(f"\ngeneration, {shape}")
        generation.main(["--made-up", shape, "--repeats", "2"])
    for options in TRAININGS:
        print(f"\nrefinement, bert-base {' '.join(options)}")
        refinement.main(["--made-up", "bert-base", *options])


if __name__ == "__main__":
    main()
