"""Save encoders in a form that older versions of sentence-transformers and transformers open, too.

sentence-transformers 5.4 renamed classes and keys, and transformers 5 keys and a class of tokenizers; both still read
the old names. What has no old form keeps the new one.
"""

import json
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer import modules
from sentence_transformers.sentence_transformer.modules import Pooling

PACKAGE = "sentence_transformers.models"  # of all module classes, before they were spread over several packages
# modes of pooling, in the order in which older versions concatenate them, and the keys of these versions
POOLING = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
UNLIMITED = 10**9  # a tokenizer without a limit has one of 10^30 tokens

Config = dict[str, Any]


def save(model: SentenceTransformer, folder: Path) -> None:
    """Write the encoder to `folder`, without a model card."""
    model.save_pretrained(str(folder), create_model_card=False)
    entries = _read(folder / "modules.json")
    for entry, module in zip(entries, model, strict=True):
        name = type(module).__name__
        if getattr(modules, name, None) is type(module):
            entry["type"] = f"{PACKAGE}.{name}"
        if old := OLD_FORMS.get(type(module)):
            file = folder / entry["path"] / module.config_file_name
            _write(file, old(module, _read(file)), 4)
    _write(folder / "modules.json", entries, 2)
    if (file := folder / "tokenizer_config.json").is_file():
        _write(file, _tokenizer(model.tokenizer.model_input_names, _read(file)), 2)


def _transformer(module: Transformer, config: Config) -> Config:
    """Return the limit of the tokens alone, if the rest follows from the files of the model."""
    is_plain = config.keys() == {"transformer_task", "modality_config", "module_output_name"}
    if not is_plain or module.transformer_task != "feature-extraction":
        return config
    if module.infer_modalities(module.model, module.processor) != (module.modality_config, module.module_output_name):
        return config
    limit = module.max_seq_length
    # the tokenizer that was saved already puts text into lower case, if that is required
    return {"max_seq_length": limit if limit and limit < UNLIMITED else None, "do_lower_case": False}


def _pooling(module: Pooling, config: Config) -> Config:
    """Return a key for each mode, if the modes are in the order of older versions."""
    modes = (module.pooling_mode,) if isinstance(module.pooling_mode, str) else module.pooling_mode
    if list(modes) != [mode for mode in POOLING if mode in modes]:
        return config
    switches = {key: mode in modes for mode, key in POOLING.items()}
    return {
        "word_embedding_dimension": module.embedding_dimension,
        **switches,
        "include_prompt": module.include_prompt,
    }


def _dense(module: Dense, config: Config) -> Config:
    """Return the configuration without the names of inputs and outputs, if these are the default."""
    if {module.module_input_name, module.module_output_name} != {"sentence_embedding"}:
        return config
    return {key: value for key, value in config.items() if not key.startswith("module_")}


def _tokenizer(inputs: list[str], config: Config) -> Config:
    """Return the configuration of a tokenizer for transformers 4: its names, and the `inputs` that are its default."""
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(config.get("extra_special_tokens"), list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    return {"model_input_names": inputs} | config


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write(file: Path, content: Any, indent: int) -> None:
    file.write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


OLD_FORMS = {Transformer: _transformer, Pooling: _pooling, Dense: _dense}
